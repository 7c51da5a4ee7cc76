import { engineOf } from "../engine/engines.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

/** What clients call a model of which they know no name. It is SGLang's own default. */
const ANY_NAME = "default";

/**
 * The name under which workers of the registry serve what a client asked for; undefined for whatever model there is.
 * Where the name itself is served it stays. Otherwise SGLang's spellings are understood where SGLang will answer:
 * `default` while there is one model, and `BASE:ADAPTER`, a LoRA adapter that SGLang loads beside the model BASE.
 * The worker gets the name as the client wrote it, so it still refuses an adapter that it does not have.
 */
export function servedName(
  model: string | undefined,
  workers: Pick<WorkerRegistry, "models" | "getWorkersForModel">,
): string | undefined {
  if (model === undefined) return undefined;
  const colon = model.lastIndexOf(":");
  const isAny = model === ANY_NAME;
  if (!isAny && colon < 1) return model;
  const known = workers.models();
  if (known.includes(model)) return model;
  const [only] = known;
  const name = isAny ? (known.length === 1 ? only : undefined) : known.find((id) => id === model.slice(0, colon));
  if (name === undefined) return model;
  const asked = workers.getWorkersForModel(name).workers;
  // Over gRPC the gateway would answer with the base model and say nothing of the adapter.
  const takesSpelling = asked.every(
    (worker) => engineOf(worker).takesModelSpellings && (isAny || worker.connectionMode === "http"),
  );
  return takesSpelling ? name : model;
}

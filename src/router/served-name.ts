import { engineOf } from "../engine/engines.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

/** The name that clients use for an unknown model; SGLang's own default. */
const ANY_NAME = "default";

/**
 * The name under which workers serve the client's model; undefined for any model. A served name stays unchanged. Where SGLang will
 * answer, its spellings are understood too: `default` while there is one model, and `BASE:ADAPTER`, a LoRA adapter that SGLang
 * loads for the model BASE. The worker gets the client's name, so it still refuses an adapter that it does not have.
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
  // Over gRPC the base model would answer without the adapter, and nobody would notice.
  const takesSpelling = asked.every(
    (worker) => engineOf(worker).takesModelSpellings && (isAny || worker.connectionMode === "http"),
  );
  return takesSpelling ? name : model;
}

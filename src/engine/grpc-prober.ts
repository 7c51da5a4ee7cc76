import { asGatewayError } from "../errors/errors.ts";
import type { Worker } from "../worker/worker.ts";
import type { HealthSettings } from "../worker/worker-spec.ts";
import type { ProbeFailure, WorkerFacts, WorkerProber } from "../worker/prober.ts";
import type { Engine, EngineFacts, GrpcAsk, GrpcProbe } from "./engine.ts";
import { ENGINES, engineOf } from "./engines.ts";
import { failureOf } from "./probe-client.ts";
import { ranksOf } from "./rank-pin.ts";
import { addresseeOf, type WorkerClient } from "./worker-client.ts";

/** Asks gRPC workers. If a worker's engine is not known yet, it tries each engine's service in turn. */
export function createGrpcProber(client: Pick<WorkerClient, "call">): WorkerProber {
  const question = <T>(
    worker: Worker,
    { timeoutMs }: HealthSettings,
    ask: (probe: GrpcProbe, ask: GrpcAsk) => Promise<T>,
  ): Promise<Answer<T>> => {
    const to = addresseeOf(worker);
    return firstKnown(worker, timeoutMs, (probe) =>
      ask(probe, (method, request) => client.call(to, method, request, timeoutMs)),
    );
  };
  const facts = (worker: Worker, settings: HealthSettings): Promise<Answer<EngineFacts>> =>
    question(worker, settings, (probe, ask) => probe.askFacts(ask));
  return {
    async health(worker, settings) {
      const answer = await question(worker, settings, (probe, ask) => probe.isHealthy(ask));
      if (answer.failure) return answer.failure;
      return answer.value
        ? undefined
        : { code: "upstream_unavailable", reason: "its health service says that it is not well" };
    },
    ask: async (worker, settings, modelFallback) =>
      factsOf(
        await question(worker, settings, async (probe, ask) => {
          const told = await probe.askFacts(ask);
          return { ...told, kvCapacityTokens: told.kvCapacityTokens ?? (await probe.askCapacity?.(ask)) };
        }),
        modelFallback,
      ),
    listing: async (worker, settings) => factsOf(await facts(worker, settings), undefined).listing,
  };
}

function namesOfServices(): string {
  const titles = ENGINES.filter(({ probe }) => probe.grpc).map(({ title }) => title);
  return new Intl.ListFormat("en-GB").format(titles);
}

/** The answer of the worker's service with its engine, or why there is none. */
type Answer<T> =
  | { readonly engine: Engine; readonly value: T; readonly failure?: undefined }
  | { readonly engine?: undefined; readonly value?: undefined; readonly failure: ProbeFailure };

function factsOf({ engine, value, failure }: Answer<EngineFacts>, modelFallback: string | undefined): WorkerFacts {
  const model = value?.model ?? modelFallback;
  return {
    info: {
      models: model === undefined ? [] : [model],
      cards: [],
      engine: engine?.name,
      engineVersion: value?.version,
      maxModelLen: value?.maxModelLen,
      kvCapacityTokens: value?.kvCapacityTokens,
      startedAt: value?.startedAt,
      kv: value?.kv,
      kvEvents: value?.kvEvents,
      dataParallelSize: engine && ranksOf(engine, value),
    },
    listing: value && JSON.stringify([value.model, value.maxModelLen, roughly(value.startedAt)]),
    missing: failure,
  };
}

/** A start to within ten seconds: engines that tell for how long they run tell a slightly different start each time. */
function roughly(startedAt: number | undefined): number | undefined {
  return startedAt === undefined ? undefined : Math.round(startedAt / 10_000);
}

async function firstKnown<T>(
  worker: Worker,
  timeoutMs: number,
  question: (probe: GrpcProbe) => Promise<T>,
): Promise<Answer<T>> {
  const known = engineOf(worker);
  for (const engine of known.probe.grpc ? [known] : ENGINES) {
    if (!engine.probe.grpc) continue;
    try {
      return { engine, value: await question(engine.probe.grpc) };
    } catch (thrown) {
      // Only a worker that has another service is asked further; any other failure is the result.
      const error = asGatewayError(thrown);
      if (error.code !== "upstream_unimplemented")
        return { failure: failureOf(error, "the health service", timeoutMs) };
    }
  }
  return {
    failure: { code: "upstream_unimplemented", reason: `it has none of the gRPC services of ${namesOfServices()}` },
  };
}

import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import { GetModelInfoResponse, HealthCheckResponse } from "../transport/grpc/generated/engine/trtllm.ts";
import type { Worker } from "../worker/worker.ts";
import type { HealthSettings } from "../worker/worker-spec.ts";
import { createGrpcProber } from "./grpc-prober.ts";
import { SGLANG } from "./sglang/methods.ts";
import { TRTLLM } from "./trtllm/methods.ts";
import { VLLM } from "./vllm/methods.ts";

const SETTINGS: HealthSettings = {
  endpoint: "/health",
  intervalMs: 1000,
  timeoutMs: 2000,
  failureThreshold: 1,
  successThreshold: 1,
  disabled: false,
};

function worker(engine?: string): Worker {
  const one = setUpFleet().add("grpc://w:1");
  return one.with({ info: { ...one.info, engine } });
}

/** A worker that answers these methods, and fails at others with this error. */
function proberOf(
  answers: Readonly<Record<string, Uint8Array>>,
  otherwise: ErrorCode = "upstream_unimplemented",
): { prober: ReturnType<typeof createGrpcProber>; asked: string[] } {
  const asked: string[] = [];
  const prober = createGrpcProber({
    call: async (_to, method) => {
      asked.push(method);
      const answer = answers[method];
      if (answer) return answer;
      throw new GatewayError(otherwise, "no answer");
    },
  });
  return { prober, asked };
}

const well = { [TRTLLM.healthCheck]: HealthCheckResponse.encode({ status: "OK" }).finish() };

test("a worker whose engine is not known is asked for each service in turn", async () => {
  const { prober, asked } = proberOf(well);
  expect(await prober.health(worker(), SETTINGS)).toBeUndefined();
  expect(asked).toEqual([SGLANG.healthCheck, VLLM.healthCheck, TRTLLM.healthCheck]);
});

test("a worker whose engine is known is asked for its own service alone", async () => {
  const { prober, asked } = proberOf(well);
  expect(await prober.health(worker("trtllm"), SETTINGS)).toBeUndefined();
  expect((await prober.health(worker("vllm"), SETTINGS))?.code).toBe("upstream_unimplemented");
  expect(asked).toEqual([TRTLLM.healthCheck, VLLM.healthCheck]);
});

test("a worker that does not answer is not asked for the next service", async () => {
  const { prober, asked } = proberOf({}, "upstream_timeout");
  expect(await prober.health(worker(), SETTINGS)).toEqual({
    code: "upstream_timeout",
    reason: "the health service had no answer within 2 s",
  });
  expect(asked).toHaveLength(1);
});

test("a worker that says that it is not well is not", async () => {
  const unhealthy = { [TRTLLM.healthCheck]: HealthCheckResponse.encode({ status: "Unhealthy: no GPU" }).finish() };
  expect((await proberOf(unhealthy).prober.health(worker("trtllm"), SETTINGS))?.code).toBe("upstream_unavailable");
});

test("a worker that names no model is taken to serve the configured one", async () => {
  const { prober } = proberOf({
    [TRTLLM.getModelInfo]: GetModelInfoResponse.encode(GetModelInfoResponse.fromPartial({})).finish(),
  });
  expect((await prober.ask(worker("trtllm"), SETTINGS, "fallback")).info.models).toEqual(["fallback"]);
  expect((await prober.ask(worker("trtllm"), SETTINGS, undefined)).info.models).toEqual([]);
});

test("the listing changes with the model and its length, and there is none where nobody answers", async () => {
  const listing = async (model: object): Promise<string | undefined> =>
    proberOf({
      [TRTLLM.getModelInfo]: GetModelInfoResponse.encode(GetModelInfoResponse.fromPartial(model)).finish(),
    }).prober.listing(worker("trtllm"), SETTINGS);
  const first = await listing({ modelId: "a", maxSeqLen: 10 });
  expect(await listing({ modelId: "a", maxSeqLen: 10, vocabSize: 5 })).toBe(first);
  expect(await listing({ modelId: "b", maxSeqLen: 10 })).not.toBe(first);
  expect(await listing({ modelId: "a", maxSeqLen: 11 })).not.toBe(first);
  expect(await proberOf({}, "upstream_closed").prober.listing(worker(), SETTINGS)).toBeUndefined();
});

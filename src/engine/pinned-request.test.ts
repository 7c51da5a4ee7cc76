import { expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import type { WorkerInfo } from "../worker/worker.ts";
import { pinnedBody, rankHeader } from "./pinned-request.ts";

const worker = (engine: string, pinnedRank: number | undefined): Parameters<typeof pinnedBody>[0] => ({
  pinnedRank,
  info: { engine } as WorkerInfo,
});
const sent = (...of: Parameters<typeof pinnedBody>): unknown => JSON.parse(Buffer.from(pinnedBody(...of)).toString());

test("a worker that is no rank gets the client's own bytes, ranks that the client names among them", () => {
  const body = bodyOf({ model: "m", data_parallel_rank: 7 });
  expect(pinnedBody(worker("sglang", undefined), body)).toBe(body.bytes);
  expect(rankHeader(worker("vllm", undefined))).toBeUndefined();
});

test("a rank of SGLang is named by both of its members, and by the header that newer versions read", () => {
  expect(sent(worker("sglang", 3), bodyOf({ model: "m" }))).toEqual({
    model: "m",
    routed_dp_rank: 3,
    data_parallel_rank: 3,
  });
  expect(rankHeader(worker("sglang", 3))).toBe("x-data-parallel-rank: 3\r\n");
});

test("a rank of vLLM is named by the header, and its body stays as it is", () => {
  const body = bodyOf({ model: "m" });
  expect(pinnedBody(worker("vllm", 0), body)).toBe(body.bytes);
  expect(rankHeader(worker("vllm", 0))).toBe("x-data-parallel-rank: 0\r\n");
});

test("ranks that a client names do not reach SGLang", () => {
  const body = bodyOf({ data_parallel_rank: 7, routed_dp_rank: [1], disagg_prefill_dp_rank: 5 });
  expect(sent(worker("sglang", 2), body)).toEqual({
    data_parallel_rank: 2,
    routed_dp_rank: 2,
    disagg_prefill_dp_rank: null,
  });
});

test("the members of a connector are kept, except for the rank of the worker itself", () => {
  const members = new Map([
    ["disagg_prefill_dp_rank", "1"],
    ["routed_dp_rank", "null"],
  ]);
  expect(sent(worker("sglang", 2), bodyOf({ model: "m" }), members)).toEqual({
    model: "m",
    disagg_prefill_dp_rank: 1,
    routed_dp_rank: 2,
    data_parallel_rank: 2,
  });
});

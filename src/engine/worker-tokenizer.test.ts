import { expect, test } from "bun:test";
import { tokenizerChunks } from "../../test/engines/grpc/tokenizer-zip.ts";
import { failureOf } from "../../test/support/failure-of.ts";
import { setUpFleet } from "../../test/support/fleet.ts";
import { TINY_MODEL, writeTinyModel } from "../../test/support/tiny-model.ts";
import { GatewayError } from "../errors/errors.ts";
import type { GrpcStream } from "../transport/grpc/grpc-client.ts";
import type { Worker } from "../worker/worker.ts";
import { SGLANG } from "./sglang/methods.ts";
import { TRTLLM } from "./trtllm/methods.ts";
import { VLLM } from "./vllm/methods.ts";
import { fetchTokenizer } from "./worker-tokenizer.ts";

function worker(engine: string | undefined): Worker {
  const one = setUpFleet().add("grpc://w:1", { modelId: TINY_MODEL });
  return one.with({ info: { ...one.info, engine } });
}

interface Player {
  readonly methods: string[];
  discarded: number;
  stream(to: unknown, method: string): GrpcStream;
}

/** A worker that sends these messages, and then ends well or fails. */
function playing(messages: readonly Uint8Array[], failure?: GatewayError): Player {
  const rest = [...messages];
  const player: Player = {
    methods: [],
    discarded: 0,
    stream(_to, method) {
      player.methods.push(method);
      return {
        hasMessages: true,
        read: () => {
          const next = rest.shift();
          if (!next && failure) throw failure;
          return next;
        },
        readAvailable: () => [],
        follow: () => Promise.resolve(),
        discard: () => (player.discarded += 1),
      };
    },
  };
  return player;
}

const { path } = await writeTinyModel();
const chunks = await Array.fromAsync(tokenizerChunks(path));

test("the files come from the method of the worker's own service, under the digest of all of them", async () => {
  for (const [engine, method] of [
    ["sglang", SGLANG.getTokenizer],
    ["vllm", VLLM.getTokenizer],
    ["trtllm", TRTLLM.getTokenizer],
  ] as const) {
    const player = playing(chunks);
    const source = await fetchTokenizer(player, worker(engine));
    expect(player.methods).toEqual([method]);
    expect("files" in source && [...source.files.keys()].some((name) => name.endsWith("tokenizer.json"))).toBe(true);
    expect("key" in source ? source.key : "").toMatch(/^[0-9a-f]{64}$/);
  }
});

test("a stream that breaks is given up, and says why", async () => {
  const reset = new GatewayError("upstream_reset", "gone");
  const player = playing(chunks.slice(0, -1), reset);
  expect(await failureOf(fetchTokenizer(player, worker("vllm")))).toBe(reset);
  expect(player.discarded).toBe(1);
});

test("files that are damaged are refused", async () => {
  expect(await failureOf(fetchTokenizer(playing(chunks.slice(1)), worker("vllm")))).toBeInstanceOf(Error);
});

test("an engine without a service is not asked", async () => {
  const player = playing([]);
  expect(await failureOf(fetchTokenizer(player, worker(undefined)))).toMatchObject({ code: "not_implemented" });
  expect(player.methods).toEqual([]);
});

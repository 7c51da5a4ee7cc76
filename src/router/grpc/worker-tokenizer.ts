import { GatewayError } from "../../errors/errors.ts";
import { TokenizerArchive } from "../../tokenizer/load/tokenizer-archive.ts";
import type { TokenizerSource } from "../../tokenizer/tokenizer-registry.ts";
import { GetTokenizerChunk } from "../../transport/grpc/generated/engine/common.ts";
import type { GrpcClient } from "../../transport/grpc/grpc-client.ts";
import { SGLANG, TRTLLM, VLLM } from "../../transport/grpc/services.ts";
import type { Clock } from "../../util/clock.ts";
import type { Worker } from "../../worker/worker.ts";

const METHODS: Readonly<Record<string, string>> = {
  vllm: VLLM.getTokenizer,
  sglang: SGLANG.getTokenizer,
  trtllm: TRTLLM.getTokenizer,
};
/** For all of it, ms: some are 20 MB. */
const TIMEOUT_MS = 60_000;

/** The files of its model's tokenizer, as a worker sends them. Rejects with what the call throws, and where they are damaged. */
export async function fetchTokenizer(grpc: GrpcClient, clock: Clock, worker: Worker): Promise<TokenizerSource> {
  const method = METHODS[worker.info.engine ?? ""];
  if (method === undefined)
    throw new GatewayError("not_implemented", "the worker's engine does not send its tokenizer");
  const key = worker.spec.apiKey;
  const stream = grpc.serverStream(worker.url, method, new Uint8Array(0), {
    deadline: clock.now() + TIMEOUT_MS,
    timeouts: { connectMs: TIMEOUT_MS, firstByteMs: TIMEOUT_MS, idleMs: TIMEOUT_MS },
    ...(key ? { metadata: { authorization: key.bearer() } } : {}),
  });
  const archive = new TokenizerArchive();
  let sha256 = "";
  try {
    for (let message = await stream.read(); message; message = await stream.read()) {
      const chunk = GetTokenizerChunk.decode(message);
      archive.push(chunk.data);
      if (chunk.sha256 !== "") ({ sha256 } = chunk);
    }
  } catch (error) {
    stream.discard();
    throw error;
  }
  return { files: await archive.finish(sha256), key: sha256 };
}

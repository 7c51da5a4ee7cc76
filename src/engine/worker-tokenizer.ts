import { GatewayError } from "../errors/errors.ts";
import { TokenizerArchive } from "../tokenizer/load/tokenizer-archive.ts";
import type { TokenizerSource } from "../tokenizer/tokenizer-registry.ts";
import { GetTokenizerChunk } from "../transport/grpc/generated/engine/common.ts";
import type { Worker } from "../worker/worker.ts";
import { engineOf } from "./engines.ts";
import { addresseeOf, type WorkerClient } from "./worker-client.ts";

/** Time limit for the whole tokenizer, ms; some have 20 MB. */
const TIMEOUT_MS = 60_000;

/** Asks a worker for the files of its model's tokenizer. Rejects with the call's error, or if the files are damaged. */
export async function fetchTokenizer(client: Pick<WorkerClient, "stream">, worker: Worker): Promise<TokenizerSource> {
  const { grpc } = engineOf(worker).questions;
  if (!grpc) throw new GatewayError("not_implemented", "the worker's engine does not send its tokenizer");
  const stream = client.stream(addresseeOf(worker), grpc.getTokenizer, new Uint8Array(0), TIMEOUT_MS);
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

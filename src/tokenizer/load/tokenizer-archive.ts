import { GatewayError } from "../../errors/errors.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";
import { unzip } from "./unzip.ts";

const MAX_STREAM_BYTES = 200 * 1024 * 1024;
const MAX_ENTRIES = 50;
const MAX_UNPACKED_BYTES = 500 * 1024 * 1024;

/**
 * The zip archive of a tokenizer as a worker streams it (GetTokenizer): chunks, and a SHA-256 with the last one. Throws
 * `invalid_upstream_response` if it is too large, damaged, or would unpack outside of its folder.
 */
export class TokenizerArchive {
  readonly #hash = new Bun.CryptoHasher("sha256");
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_STREAM_BYTES) {
      throw new GatewayError("invalid_upstream_response", `the tokenizer is larger than ${MAX_STREAM_BYTES} bytes`);
    }
    this.#hash.update(chunk);
    this.#chunks.push(chunk);
  }

  /** `sha256` is the worker's checksum in hexadecimal. */
  async finish(sha256: string): Promise<TokenizerFiles> {
    if (this.#hash.digest("hex") !== sha256.toLowerCase()) {
      throw new GatewayError(
        "invalid_upstream_response",
        "the tokenizer's bytes do not have the SHA-256 they came with",
      );
    }
    const entries = await unzip(Buffer.concat(this.#chunks), { maxEntries: MAX_ENTRIES, maxBytes: MAX_UNPACKED_BYTES });
    // An archive of a folder has the folder before every name.
    return new Map([...entries].map(([name, bytes]) => [name.slice(name.lastIndexOf("/") + 1), bytes]));
  }
}

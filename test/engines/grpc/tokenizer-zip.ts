import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { GetTokenizerChunk } from "../../../src/transport/grpc/generated/engine/common.ts";
import { RpcError, STATUS } from "./rpc-server.ts";

/** What engines send at a time. */
const CHUNK_BYTES = 65_536;
/** Files of a model that are not its weights. */
const TOKENIZER_FILE = /\.(json|jinja|model|txt|tiktoken)$/;
const LOCAL_HEAD = 0x04034b50;
const CENTRAL_HEAD = 0x02014b50;
const END_HEAD = 0x06054b50;
const VERSION = 20;

/** The tokenizer of a directory as engines send it: a zip file in pieces, its SHA-256 in the last. */
export async function* tokenizerChunks(directory: string | undefined): AsyncGenerator<Uint8Array, void, void> {
  if (directory === undefined) throw new RpcError(STATUS.failedPrecondition, "tokenizer path is not configured");
  const zip = zipOf(directory);
  const sha256 = new Bun.CryptoHasher("sha256").update(zip).digest("hex");
  for (let at = 0; at < zip.length; at += CHUNK_BYTES) {
    const isLast = at + CHUNK_BYTES >= zip.length;
    const chunk = { data: zip.subarray(at, at + CHUNK_BYTES), sha256: isLast ? sha256 : "" };
    yield GetTokenizerChunk.encode(chunk).finish();
  }
}

/** A zip file that stores the files as they are. */
function zipOf(directory: string): Buffer {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  const names = readdirSync(directory).filter(
    (name) => TOKENIZER_FILE.test(name) && statSync(join(directory, name)).isFile(),
  );
  for (const name of names.sort()) {
    const body = readFileSync(join(directory, name));
    const facts = factsOf(name, body);
    const local = Buffer.concat([uint32(LOCAL_HEAD), uint16(VERSION), facts, Buffer.from(name), body]);
    // After the facts: comment, disk, attributes; then where the file stands.
    central.push(
      Buffer.concat([
        uint32(CENTRAL_HEAD),
        uint16(VERSION),
        uint16(VERSION),
        facts,
        Buffer.alloc(10),
        uint32(offset),
        Buffer.from(name),
      ]),
    );
    parts.push(local);
    offset += local.length;
  }
  const directoryBytes = Buffer.concat(central);
  const count = uint16(names.length);
  const end = [uint32(END_HEAD), Buffer.alloc(4), count, count, uint32(directoryBytes.length), uint32(offset)];
  return Buffer.concat([...parts, directoryBytes, ...end, uint16(0)]);
}

/** What local and central heads have in common, from the flags to the length of the extra field. */
function factsOf(name: string, body: Uint8Array): Buffer {
  const size = uint32(body.length);
  // Flags, method 0, time and date; checksum; sizes.
  return Buffer.concat([Buffer.alloc(8), uint32(crc32(body)), size, size, uint16(Buffer.byteLength(name)), uint16(0)]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

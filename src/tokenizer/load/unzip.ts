import { inflateRaw } from "node:zlib";
import { GatewayError } from "../../errors/errors.ts";

interface UnzipLimits {
  readonly maxEntries: number;
  /** Bytes of all entries together, unpacked. */
  readonly maxBytes: number;
}

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** Index of its local header. */
  readonly at: number;
}

const END_SIGNATURE = 0x06054b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const ENCRYPTED = 1;
const STORED = 0;
const DEFLATED = 8;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Files of a zip archive by name. Reads what Python's and others' writers make: stored or deflated entries, no encryption, no
 * zip64. Rejects with `invalid_upstream_response` for archives that are broken, beyond the limits, or have names that lead outside of the folder.
 */
export async function unzip(archive: Uint8Array, limits: UnzipLimits): Promise<ReadonlyMap<string, Uint8Array>> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const entries = readDirectory(archive, view, limits.maxEntries);
  let total = 0;
  for (const entry of entries) total += entry.bytes;
  if (total > limits.maxBytes) throw broken(`unpacks to more than ${limits.maxBytes} bytes`);
  const files = new Map<string, Uint8Array>();
  for (const entry of entries) {
    if (entry.name.endsWith("/")) continue;
    if (files.has(entry.name)) throw broken(`has ${JSON.stringify(entry.name)} twice`);
    files.set(entry.name, await readEntry(archive, view, entry));
  }
  return files;
}

function broken(what: string): GatewayError {
  return new GatewayError("invalid_upstream_response", `the archive ${what}`);
}

function readDirectory(archive: Uint8Array, view: DataView, maxEntries: number): Entry[] {
  const end = findEnd(view);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count > maxEntries) throw broken(`has ${count} entries; ${maxEntries} are allowed`);
  const entries: Entry[] = [];
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL_SIGNATURE) throw broken("has a broken directory");
    const nameBytes = view.getUint16(at + 28, true);
    const next = at + 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > end) throw broken("has a broken directory");
    if ((view.getUint16(at + 8, true) & ENCRYPTED) !== 0) throw broken("is encrypted");
    entries.push({
      name: safeName(archive.subarray(at + 46, at + 46 + nameBytes)),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packedBytes: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      at: view.getUint32(at + 42, true),
    });
    at = next;
  }
  return entries;
}

/** Finds the end record, which only a comment may follow. */
function findEnd(view: DataView): number {
  const first = Math.max(0, view.byteLength - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = view.byteLength - END_BYTES; at >= first; at -= 1) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    if (at + END_BYTES + view.getUint16(at + 20, true) === view.byteLength) return at;
  }
  throw broken("is no zip archive");
}

function safeName(bytes: Uint8Array): string {
  let name: string;
  try {
    name = utf8.decode(bytes);
  } catch {
    throw broken("has a name that is not UTF-8");
  }
  const isSafe = name !== "" && !/[\\\0:]/.test(name) && !name.startsWith("/") && !name.split("/").includes("..");
  if (!isSafe) throw broken(`has an entry named ${JSON.stringify(name.slice(0, 100))}`);
  return name;
}

async function readEntry(archive: Uint8Array, view: DataView, entry: Entry): Promise<Uint8Array> {
  const { at, name } = entry;
  if (at + 30 > archive.length || view.getUint32(at, true) !== LOCAL_SIGNATURE) throw broken(`has no entry ${name}`);
  const from = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  if (from + entry.packedBytes > archive.length) throw broken(`ends within ${name}`);
  const packed = archive.subarray(from, from + entry.packedBytes);
  const bytes = await unpack(packed, entry);
  if (bytes.length !== entry.bytes || Bun.hash.crc32(bytes) !== entry.crc) throw broken(`has a damaged ${name}`);
  return bytes;
}

function unpack(packed: Uint8Array, entry: Entry): Promise<Uint8Array> {
  if (entry.method === STORED) return Promise.resolve(packed.slice());
  if (entry.method !== DEFLATED) return Promise.reject(broken(`packs ${entry.name} in a way that is not known`));
  return new Promise((resolve, reject) => {
    // One byte more than the directory says means that the entry is too long. A limit of 0 would mean no limit.
    inflateRaw(packed, { maxOutputLength: entry.bytes + 1 }, (error, bytes) => {
      if (error) reject(broken(`has a damaged ${entry.name}`));
      else resolve(bytes);
    });
  });
}

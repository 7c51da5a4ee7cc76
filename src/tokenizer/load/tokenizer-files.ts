import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { GatewayError } from "../../errors/errors.ts";
import { isRecord, type AnyRecord } from "../../util/objects.ts";

/** Files of a tokenizer by name, without folders. Only those in TOKENIZER_FILES are read. */
export type TokenizerFiles = ReadonlyMap<string, Uint8Array>;

const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "config.json",
  "chat_template.jinja",
  "chat_template.json",
] as const;
type TokenizerFileName = (typeof TOKENIZER_FILES)[number];

const utf8 = new TextDecoder("utf-8");

/** Reads the files beside `path`: a folder, or a tokenizer.json in one. Rejects with `invalid_request`, param "source". */
export async function readTokenizerFiles(path: string): Promise<TokenizerFiles> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    (cause: unknown) => {
      throw new GatewayError("invalid_request", "there is no such tokenizer", { param: "source", cause });
    },
  );
  const folder = isFolder ? path : dirname(path);
  const files = new Map<string, Uint8Array>();
  for (const name of TOKENIZER_FILES) {
    const bytes = await readBounded(name === "tokenizer.json" && !isFolder ? path : join(folder, name));
    if (bytes) files.set(name, bytes);
  }
  return files;
}

/** Largest file of a tokenizer; gemma 3's tokenizer.json has 33 MB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** undefined where there is no regular file of this name; a device, which may never end, is not one. */
async function readBounded(path: string): Promise<Uint8Array | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) return undefined;
  if (found.size > MAX_FILE_BYTES) {
    throw new GatewayError("invalid_request", `a file of the tokenizer is larger than ${MAX_FILE_BYTES} bytes`, {
      param: "source",
    });
  }
  return Bun.file(path).bytes();
}

/** Text of a file; undefined where it is missing. */
export function textOf(files: TokenizerFiles, name: TokenizerFileName): string | undefined {
  const bytes = files.get(name);
  return bytes && utf8.decode(bytes);
}

/** The JSON object of a file; an empty one where the file is missing. Throws `invalid_request` where it is not an object. */
export function jsonOf(files: TokenizerFiles, name: TokenizerFileName): AnyRecord {
  const text = textOf(files, name);
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new GatewayError("invalid_request", `${name} is not JSON`, { param: "source", cause });
  }
  if (!isRecord(value)) throw new GatewayError("invalid_request", `${name} is not an object`, { param: "source" });
  return value;
}

import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { snakeCase } from "../util/case.ts";
import { errorMessage } from "../util/error-message.ts";
import { isRecord } from "../util/objects.ts";
import { typeAt } from "../util/wrong-value.ts";
import { utf8Text } from "../util/utf8-text.ts";
import { canBeReadAgain, ONLY_ONCE, type RawObject } from "./config-file.ts";
import type { Complaint } from "./describe-issue.ts";
import { type ConfigKey, configSchema } from "./schema.ts";

/** Largest file of a secret, bytes; keys are shorter. */
const MAX_BYTES = 65_536;
/** What is at the end of the name of an option that names the file of a secret. */
const FILE = "File";

/** What became of the values. */
export interface WithSecrets {
  readonly values: RawObject;
  /** Paths of options that name files, with what they name; those of the secrets among them. */
  readonly files: readonly NamedFile[];
  readonly complaints: readonly Complaint[];
}

/** A file that a value names. */
export interface NamedFile {
  readonly path: readonly PropertyKey[];
  readonly file: string;
}

/**
 * Puts the contents of files in the place of secrets: `x_file: PATH` beside `x`, at any depth. The line break at the end is cut. The
 * files are read each time that a configuration is, so that a reload takes a rotated secret. `allowed`: the files that may be
 * named; undefined: any. `isAgain`: they were read before, so that a pipe, which would stop the gateway until somebody writes to it, is refused.
 */
export function readSecretFiles(
  values: RawObject,
  { allowed, isAgain }: { readonly allowed?: ReadonlySet<string> | undefined; readonly isAgain: boolean },
): WithSecrets {
  const files: NamedFile[] = [];
  const complaints: Complaint[] = [];
  const walk = (value: unknown, path: readonly PropertyKey[]): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index]));
    if (!isRecord(value)) return value;
    const out: RawObject = {};
    for (const [key, inner] of Object.entries(value)) {
      const at = [...path, key];
      if (typeof inner !== "string" || !namesFile(key)) {
        if (!Object.hasOwn(out, key)) out[key] = walk(inner, at);
        continue;
      }
      files.push({ path: at, file: inner });
      const secret = secretOf(key, path);
      const problem =
        allowed && !allowed.has(inner)
          ? `names ${inner}, which the gateway's own file does not, so a document from elsewhere may not`
          : secret !== undefined && value[secret] !== undefined
            ? `stands beside ${snakeCase(secret)}: one of them is enough`
            : undefined;
      if (problem !== undefined) complaints.push({ path: at, text: problem });
      else if (secret !== undefined) out[secret] = read(inner, isAgain, at, complaints);
      // An option of the schema stays: it says where the secret is from.
      if (secret === undefined || path.length === 0) out[key] = inner;
      else if (problem !== undefined) out[secret] ??= pending(at);
    }
    return out;
  };
  const walked = walk(values, []);
  return { values: isRecord(walked) ? walked : values, files, complaints };
}

/** What stands in the place of a secret that cannot be had, so that it is called neither missing nor the same as another. */
function pending(path: readonly PropertyKey[]): string {
  return path.join(".");
}

/** The option that gives the same secret in another way: `x` for `x_file`, and the other way round; undefined where there is none. */
export function partnerOf(key: ConfigKey): ConfigKey | undefined {
  const partner = secretOf(key, []) ?? `${key}${FILE}`;
  return isKey(partner) ? partner : undefined;
}

function isKey(key: string): key is ConfigKey {
  return Object.hasOwn(configSchema.shape, key);
}

/** Whether an option of this name has the path of a file or folder as its value. */
function namesFile(key: string): boolean {
  return (/(File|Path|Folder)$/.test(key) && key !== "modelPath") || FILE_OPTIONS.has(key);
}

/** The last one is a label. */
const FILE_OPTIONS: ReadonlySet<string> = new Set(["chatTemplate", "policyModule", "record", "tokenizer_path"]);

/** The secret beside which the option stands; undefined where it names another kind of file. */
function secretOf(key: string, parent: readonly PropertyKey[]): string | undefined {
  if (!key.endsWith(FILE)) return undefined;
  const name = key.slice(0, -FILE.length);
  const type = typeAt(configSchema, [...parent, name]);
  return type && isSecret(type) ? name : undefined;
}

/** Whether the schema marks the type as a secret. */
function isSecret(type: z.core.$ZodType): boolean {
  return type instanceof z.ZodString && z.globalRegistry.get(type)?.["isSecret"] === true;
}

function read(file: string, isAgain: boolean, path: readonly PropertyKey[], complaints: Complaint[]): string {
  try {
    if (isAgain && !canBeReadAgain(file)) throw new Error(ONLY_ONCE);
    if (statSync(file).size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
    const text = utf8Text(readFileSync(file))?.replace(/[\r\n]+$/, "");
    if (text === undefined) throw new Error("it is not UTF-8 text");
    if (text === "") throw new Error("it is empty");
    if (/[\r\n]/.test(text)) throw new Error("it has several lines, and a secret stands alone on one");
    return text;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    const reason = code === "ENOENT" ? "there is no such file" : (code ?? errorMessage(error));
    complaints.push({ path, text: `${file} cannot be read: ${reason}` });
    return pending(path);
  }
}

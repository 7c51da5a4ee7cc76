import { z } from "zod";
import { camelCase, snakeCase } from "../util/case.ts";
import { keysOf } from "../util/objects.ts";
import { lazy } from "../util/lazy.ts";
import { closest } from "../util/suggest.ts";
import { typeAt, wrongValueText } from "../util/wrong-value.ts";
import { flagNames } from "./options.ts";
import { configSchema } from "./schema.ts";

/** A mistake in one value, described with the names that the user wrote. */
export interface Complaint {
  /** Path of the value, or of the mapping with the unknown key. Keys are in camel case. */
  readonly path: readonly PropertyKey[];
  /** An unknown key, as the schema got it. */
  readonly unknownKey?: string;
  /** The text after the name of the option: "must be true or false". */
  readonly text: string;
  /** Whether the text is a whole sentence, without the option's name in front. */
  readonly isSentence?: boolean;
}

/** Most characters of a key in a message. */
const SHOWN = 80;

/** Most complaints: each takes time, and nobody reads more. */
export const MAX_COMPLAINTS = 100;

/** Turns issues of the schema into complaints, one for each unknown key. `input` is the parsed value. */
export function complaintsOf(
  issues: readonly z.core.$ZodIssue[],
  schema: z.core.$ZodType,
  input: unknown,
): Complaint[] {
  const told = issues.slice(0, MAX_COMPLAINTS).flatMap((issue): Complaint[] => {
    const { path } = issue;
    if (issue.code === "unrecognized_keys") {
      return issue.keys.slice(0, MAX_COMPLAINTS).map((key) => ({
        path,
        unknownKey: key,
        text: unknownKeyText(key, path, schema),
        isSentence: true,
      }));
    }
    return [{ path, text: wrongValueText(issue, schema, input) }];
  });
  return told.slice(0, MAX_COMPLAINTS);
}

/** `initial_workers[0].model_id must be ...`, without the first `from` parts of the path. */
export function sentence({ path, isSentence, text }: Complaint, from = 0): string {
  const name = isSentence === true ? "" : dotted(path.slice(from));
  return name === "" ? text : `${name} ${text}`;
}

/** `initial_workers[0].model_id`; `last` is appended unchanged. */
export function dotted(path: readonly PropertyKey[], last?: string): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += `${text === "" ? "" : "."}${snakeCase(String(part)).slice(0, SHOWN)}`;
  }
  return last === undefined ? text : `${text}${text === "" ? "" : "."}${last.slice(0, SHOWN)}`;
}

/** Turns a key back into the user's spelling: from camel case into snake case, and the other way round. */
export function asWritten(key: string): string {
  return /[A-Z]/.test(key) ? snakeCase(key) : camelCase(key);
}

/** Outermost keys of LiteLLM's configuration, which users try. */
const LITELLM_KEYS: ReadonlySet<string> = new Set([
  "model_list",
  "litellm_settings",
  "router_settings",
  "general_settings",
]);

/** The file's key for words of the command line: `policy` stands for `--policy`, which is `default_policy` in the file. */
const keyOfWord = lazy(() => {
  const flagWords = keysOf(configSchema.shape).flatMap((key) =>
    flagNames(key).map((flag): [string, string] => [flag.slice(2).replaceAll("-", "_"), snakeCase(key)]),
  );
  const workerWords = ["workers", "prefill", "decode", "prefill_workers", "decode_workers"];
  return new Map([...flagWords, ...workerWords.map((word): [string, string] => [word, "initial_workers"])]);
});

function unknownKeyText(key: string, path: readonly PropertyKey[], schema: z.core.$ZodType): string {
  const type = typeAt(schema, path);
  const known = type instanceof z.ZodObject ? Object.keys(type.shape).map(snakeCase) : [];
  if (path.length === 0 && LITELLM_KEYS.has(snakeCase(key))) {
    return `unknown key ${asWritten(key)}, which is LiteLLM's: here models are what workers serve (initial_workers)`;
  }
  const word = path.length === 0 ? keyOfWord().get(snakeCase(key)) : undefined;
  const near = word !== undefined && known.includes(word) ? word : closest(snakeCase(key), known);
  return `unknown key ${dotted(path, asWritten(key))}${near === undefined ? "" : `; did you mean ${near}?`}`;
}

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { Document, Pair } from "yaml";
import { camelCase, snakeCase } from "../util/case.ts";
import { type AnyRecord, isRecord } from "../util/objects.ts";
import { utf8Text } from "../util/utf8-text.ts";
import { ConfigError, type ConfigProblem, throwProblems } from "./config-error.ts";
import { fillVariables, type Outside } from "./variables.ts";
import { yaml } from "./yaml.ts";

/** Largest configuration file, bytes; a larger file is something else. */
const MAX_BYTES = 4 * 1024 * 1024;
const TOO_LARGE = `the file is larger than ${MAX_BYTES} bytes`;
/** Most YAML aliases of a file: enough to share settings, too few for an alias bomb. */
const MAX_ALIASES = 100;
/** Most levels of nested mappings and lists; the deepest option has five. */
const MAX_LEVELS = 32;

/** Values before the schema has checked them. */
export type RawObject = AnyRecord;

/** A YAML file with its keys in camel case, which can find the place of a key. */
export interface ConfigFile {
  readonly values: RawObject;
  /** Mistakes in the text that YAML itself allows. */
  readonly problems: readonly ConfigProblem[];
  /** What the text takes from outside: variables as `${NAME}`. */
  readonly references: readonly string[];
  /** Whether the text has a value at this path. */
  has(path: readonly PropertyKey[]): boolean;
  /** The variables that the value at this path is made of. */
  variablesAt(path: readonly PropertyKey[]): readonly string[];
  /** `file:line:column` of the value at this path, or of its nearest parent that is there. */
  locate(path: readonly PropertyKey[]): string;
  /** `file:line:column` of a key. */
  locateKey(path: readonly PropertyKey[], key: string): string;
}

/** The text of a configuration file. Throws ConfigError where the file cannot be read, or is too large. */
export function readConfigText(path: string): string {
  const bytes = readBytes(path);
  if (bytes.length > MAX_BYTES) throw new ConfigError(path, TOO_LARGE);
  const text = utf8Text(bytes);
  if (text === undefined) throw new ConfigError(path, "the file is not UTF-8 text");
  return text;
}

/**
 * As `readConfigText`, for a file that is read again and again. What can be read only once, such as a pipe, is refused: it would be empty now, or
 * stop the gateway until somebody writes to it.
 */
export function readConfigTextAgain(path: string): string {
  if (!canBeReadAgain(path)) throw new ConfigError(path, ONLY_ONCE);
  return readConfigText(path);
}

/** Why a file is refused that `canBeReadAgain` is not true of. */
export const ONLY_ONCE = "it cannot be read again, as a file can";

/** Whether it is no pipe, and nothing like it. One that is not there may come. */
export function canBeReadAgain(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  return !stats || !(stats.isFIFO() || stats.isCharacterDevice() || stats.isSocket());
}

/**
 * Throws ConfigError where a text has no option, and does not say so with {}. A file that somebody has begun to write, or that a full disk has cut,
 * would take every key from a running gateway, which would then be open to everybody.
 */
export function checkNotBlank({ name, text }: { readonly name: string; readonly text: string }): void {
  const isBlank = text.split("\n").every((line) => /^\s*(?:#|---|$)/.test(line));
  if (isBlank) throw new ConfigError(name, "there is no option in it; {} is a configuration without options");
}

function readBytes(path: string): Uint8Array {
  try {
    // One byte more than the limit, to recognise a larger file without reading it whole.
    return readStart(path, MAX_BYTES + 1);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ConfigError(path, code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`);
  }
}

function readStart(path: string, bytes: number): Uint8Array {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(Math.min(fstatSync(file).size || bytes, bytes));
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(file, buffer, length, buffer.length - length, null);
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** Throws ConfigError where the text is not a YAML mapping. `listKey`: a list counts as a mapping that has it under this key, in snake case. */
export function parseConfigFile(name: string, text: string, outside: Outside, listKey?: string): ConfigFile {
  if (text.length > MAX_BYTES) throw new ConfigError(name, TOO_LARGE);
  checkBrackets(name, text);
  const { isMap, isScalar, isSeq, LineCounter, parseDocument, visit } = yaml();
  const lines = new LineCounter();
  const document: Document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const at = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${name}:${line}:${col}`;
  };
  throwProblems([
    ...[...document.errors, ...document.warnings].map(({ pos, code, message }) => ({
      where: at(pos[0]),
      message: YAML_MISTAKES.get(code) ?? message.split("\n", 1)[0] ?? message,
    })),
    ...keysGivenTwice(document).map((offset) => ({ where: at(offset), message: "this key is given twice" })),
  ]);
  if (listKey !== undefined && isSeq(document.contents)) {
    const list = document.contents;
    document.contents = document.createNode({});
    document.set(listKey, list);
  }
  visit(document, {
    Pair(_, { key }) {
      // The schema refuses the key among options, but would skip it among labels.
      if (isScalar(key) && key.value === "__proto__")
        throw new ConfigError(at(key.range?.[0]), "unknown key __proto__");
    },
  });
  const { problems, byOffset } = fillVariables(document, outside, at);
  return {
    values: camelKeys(toObject(document, name, at)),
    problems,
    references: [...new Set([...byOffset.values()].flat())],
    has: (path) => document.hasIn(path.map(yamlKey)),
    variablesAt: (path) => byOffset.get(offsetOf(document, path.map(yamlKey)) ?? -1) ?? [],
    locate: (path) => at(offsetOf(document, path.map(yamlKey))),
    locateKey(path, key) {
      const map = path.length === 0 ? document.contents : document.getIn(path.map(yamlKey), true);
      const pair = isMap(map)
        ? map.items.find((item: Pair) => isScalar(item.key) && snakeCase(String(item.key.value)) === snakeCase(key))
        : undefined;
      return pair && isScalar(pair.key) ? at(pair.key.range?.[0]) : at(offsetOf(document, path.map(yamlKey)));
    },
  };
}

/** Mistakes for which the library's own words are for programmers. */
const YAML_MISTAKES: ReadonlyMap<string, string> = new Map([
  ["MULTIPLE_DOCS", "a second document begins here, and a configuration is one: leave out the line with ---"],
]);

/** Where keys stand that their mapping has before. The library's own look compares each key with each: 100,000 keys take it minutes. */
function keysGivenTwice(document: Document): number[] {
  const { isMap, isScalar, isSeq } = yaml();
  const twice: number[] = [];
  // A list of what is left to look at, because lines that are no YAML may come to thousands of levels.
  const left: unknown[] = [document.contents];
  while (left.length > 0) {
    const node = left.pop();
    if (isSeq(node)) for (const item of node.items) left.push(item);
    if (!isMap(node)) continue;
    const names = new Set<string>();
    for (const { key, value } of node.items) {
      left.push(value);
      if (!isScalar(key)) continue;
      const name = String(key.value);
      if (names.has(name)) twice.push(key.range?.[0] ?? 0);
      names.add(name);
    }
  }
  return twice.toSorted((a, b) => a - b);
}

/** Most brackets that are open at once, those in texts and comments too. The library takes minutes for five thousand. */
const MAX_OPEN = 512;

/** Throws ConfigError where more brackets are open at once than any configuration has. */
function checkBrackets(name: string, text: string): void {
  let open = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = bracket === "[" || bracket === "{" ? open + 1 : Math.max(0, open - 1);
    if (open > MAX_OPEN) throw new ConfigError(name, `more than ${MAX_LEVELS} levels`);
  }
}

function toObject(document: Document, name: string, at: (offset: number) => string): RawObject {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    throw new ConfigError(name, error instanceof Error ? error.message : "the file cannot be read as YAML");
  }
  if (value === null || value === undefined) return {};
  if (!isRecord(value)) throw new ConfigError(at(0), "the file must be a mapping of options");
  return value;
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true);
    if (yaml().isNode(node)) return node.range?.[0];
  }
  return undefined;
}

function yamlKey(key: PropertyKey): PropertyKey {
  return typeof key === "string" ? snakeCase(key) : key;
}

/** Turns outside keys into the schema's camel case. Keys of labels stay unchanged. */
export function camelKeys(value: Readonly<RawObject>, depth = 0): RawObject {
  if (depth > MAX_LEVELS) throw new ConfigError("config", `more than ${MAX_LEVELS} levels`);
  const convert = (inner: unknown, level: number): unknown => {
    // An alias within its own value never ends.
    if (level > MAX_LEVELS) throw new ConfigError("config", `more than ${MAX_LEVELS} levels`);
    if (Array.isArray(inner)) return inner.map((item) => convert(item, level + 1));
    return isRecord(inner) ? camelKeys(inner, level + 1) : inner;
  };
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      // A key that is not in snake case is kept, so that the schema refuses it as unknown.
      snakeCase(camelCase(key)) === key ? camelCase(key) : snakeCase(key),
      key === "labels" ? inner : convert(inner, depth),
    ]),
  );
}

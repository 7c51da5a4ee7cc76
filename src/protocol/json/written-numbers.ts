import { isJsonObject } from "./json.ts";
import type { JsonBody } from "./json-body.ts";

/** An object or list keeps under this key how its numbers were written, where JavaScript would write them otherwise. */
const WRITTEN: unique symbol = Symbol("numbers as written");

type Written = Readonly<Record<string, string>>;
interface Holder {
  [WRITTEN]?: Record<string, string>;
}

/**
 * Finds, where a value may stand, a number that ends with a zero behind its point, begins with many zeros, has an exponent,
 * or has more digits than a double keeps. It may also find one within a string: that text is parsed the slower way for nothing.
 */
const INEXACT = /[:,[]\s*(?:-?(?:\d+\.\d*0(?!\d)|0\.0{6}|\d+(?:\.\d+)?[eE]|\d[\d.]{15})|-0(?![\d.]))/;

/**
 * `JSON.parse`, after which `writtenNumbers` tells how numbers such as `1.0`, `1e-05` and `12345678901234567890` were written.
 * The values are those of `JSON.parse`; a copy by `{...object}` keeps the texts. Throws SyntaxError.
 */
export function parseWithNumbers(text: string): unknown {
  return INEXACT.test(text) ? (JSON.parse(text, keep) as unknown) : (JSON.parse(text) as unknown);
}

/** Members of a body that chat templates may print. */
const SHOWN = ["tools", "functions", "documents", "chat_template_kwargs"];
/** Texts that are in a conversation whose calls have objects as arguments, as in Anthropic's API. */
const OBJECT_ARGUMENTS = ['"tool_use"', '"arguments":{', '"arguments": {'].map((text) => Buffer.from(text));

/** Parses a body so that `writtenNumbers` knows the numbers that a chat template may print. */
export function bodyWithNumbers(body: JsonBody): unknown {
  const value: unknown = JSON.parse(textOf(body.bytes));
  if (!isJsonObject(value)) return value;
  const shown: Record<string, unknown> = { ...value };
  for (const name of SHOWN) {
    const raw = body.raw(name);
    if (raw) shown[name] = parseWithNumbers(textOf(raw));
  }
  const messages = body.raw("messages");
  // Parsing with numbers takes longer, and a conversation without such arguments has no numbers that are printed.
  if (messages && hasObjectArguments(messages)) shown["messages"] = parseWithNumbers(textOf(messages));
  return shown;
}

function hasObjectArguments(messages: Uint8Array): boolean {
  const bytes = Buffer.from(messages.buffer, messages.byteOffset, messages.byteLength);
  return OBJECT_ARGUMENTS.some((mark) => bytes.includes(mark));
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** How those numbers of an object or list were written, by key, that JavaScript would write otherwise. */
export function writtenNumbers(holder: object): Written | undefined {
  return mayHold(holder) ? holder[WRITTEN] : undefined;
}

/** Notes how a number was written in an object or list that was put together from parts. */
export function keepWritten(holder: object, key: string, value: number, source: string): void {
  if (source !== String(value)) keep.call(holder, key, value, { source });
}

function mayHold(holder: object): holder is Holder {
  return WRITTEN in holder;
}

function keep(this: Holder, key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number") return value;
  const source = context?.source;
  if (source !== undefined && source !== String(value)) (this[WRITTEN] ??= {})[key] = source;
  return value;
}

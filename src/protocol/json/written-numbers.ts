import { isJsonObject } from "./json.ts";
import type { JsonBody } from "./json-body.ts";

/** Under it an object or list keeps the text of numbers that JavaScript's do not give back as they were written. */
const WRITTEN: unique symbol = Symbol("numbers as written");

type Written = Readonly<Record<string, string>>;
interface Holder {
  [WRITTEN]?: Record<string, string>;
}

/**
 * A number with a last zero behind the point, many first ones, an exponent, or more digits than a number holds, where a value may stand. It may find some
 * in the middle of a string: then the text is read the slower way for nothing.
 */
const INEXACT = /[:,[]\s*(?:-?(?:\d+\.\d*0(?!\d)|0\.0{6}|\d+(?:\.\d+)?[eE]|\d[\d.]{15})|-0(?![\d.]))/;

/**
 * `JSON.parse`, after which `writtenNumbers` tells what stood for numbers such as `1.0`, `1e-05` and `12345678901234567890`. Everything
 * else is the same as with `JSON.parse`; copies by `{...object}` keep the texts.
 */
export function parseWithNumbers(text: string): unknown {
  return INEXACT.test(text) ? (JSON.parse(text, keep) as unknown) : (JSON.parse(text) as unknown);
}

/** Members of a body whose values templates see as they are. */
const SHOWN = ["tools", "functions", "documents", "chat_template_kwargs"];
/** Where a conversation has the arguments of calls as objects, which it does in Anthropic's API. */
const OBJECT_ARGUMENTS = ['"tool_use"', '"arguments":{', '"arguments": {'].map((text) => Buffer.from(text));

/** A body, of which `writtenNumbers` knows the numbers that a template may write out. */
export function bodyWithNumbers(body: JsonBody): unknown {
  const value: unknown = JSON.parse(textOf(body.bytes));
  if (!isJsonObject(value)) return value;
  const shown: Record<string, unknown> = { ...value };
  for (const name of SHOWN) {
    const raw = body.raw(name);
    if (raw) shown[name] = parseWithNumbers(textOf(raw));
  }
  const messages = body.raw("messages");
  // Long conversations are not looked through without need: what is text in them stays so.
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

/** Texts of the members of an object or list that are numbers and not written as JavaScript writes them, by key. */
export function writtenNumbers(holder: object): Written | undefined {
  return mayHold(holder) ? holder[WRITTEN] : undefined;
}

/** Notes the text of a number in a holder that was put together of parts. */
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

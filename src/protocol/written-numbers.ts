/** Under it an object or list keeps the text of numbers that JavaScript's do not give back as they were written. */
const WRITTEN: unique symbol = Symbol("numbers as written");

type Written = Readonly<Record<string, string>>;
interface Holder {
  [WRITTEN]?: Record<string, string>;
}

/**
 * A number with a fraction, an exponent or more digits than a number holds, where a value may stand. It may find some in the middle of a
 * string: then the text is read the slower way for nothing.
 */
const INEXACT = /[:,[]\s*-?\d+(?:[.eE]|\d{15})/;

/**
 * `JSON.parse`, after which `writtenNumbers` tells what stood for numbers such as `1.0`, `1e-05` and `12345678901234567890`. Everything
 * else is the same as with `JSON.parse`; copies by `{...object}` keep the texts.
 */
export function parseWithNumbers(text: string): unknown {
  return INEXACT.test(text) ? (JSON.parse(text, keep) as unknown) : (JSON.parse(text) as unknown);
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

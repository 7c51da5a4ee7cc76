import { isJsonObject, type JsonObject } from "../../../src/protocol/json/json.ts";

/*
 * JSON whose numbers keep what was written: rooms have 63 bits, and what goes "verbatim" from one engine to the next must
 * not have 1.0 become 1. Whole numbers become bigint, all others an object that holds their text.
 */

class Written {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;
const parse: (text: string, reviver: Reviver) => unknown = JSON.parse;

/** The object in `text`, which is JSON; `{}` where it is something else. */
export function parseExact(text: string): JsonObject {
  const value = parse(text, (_key, item, context) =>
    typeof item === "number" ? exactNumber(context?.source ?? "") : item,
  );
  return isJsonObject(value) ? value : {};
}

function exactNumber(source: string): bigint | Written {
  return /^-?\d+$/.test(source) ? BigInt(source) : new Written(source);
}

/** One text for all that says the same: keys in order, no spaces, numbers as they were written. */
export function canonical(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Written) return value.text;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(",")}}`;
}

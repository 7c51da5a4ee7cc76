/** A value of a running template, as far as it is looked at here. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
}

const SPACE =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

/** Python's `strip`: of the characters given, or of white space as Python has it. */
export function strip(text: string, sides: "both" | "left" | "right", chars: string = SPACE): string {
  const set = new Set(chars);
  let [from, end] = [0, text.length];
  if (sides !== "right") while (from < end && set.has(text.charAt(from))) from += 1;
  if (sides !== "left") while (end > from && set.has(text.charAt(end - 1))) end -= 1;
  return text.slice(from, end);
}

function isNumeric(value: unknown): value is number | boolean {
  return typeof value === "number" || typeof value === "boolean";
}

/** Python's `==`: by value, and nothing equals what is of another kind but numbers and booleans. */
export function equals(a: TemplateValue, b: TemplateValue): boolean {
  if (isNumeric(a.value) && isNumeric(b.value)) return Number(a.value) === Number(b.value);
  if (Array.isArray(a.value) && Array.isArray(b.value)) return areEqualLists(a.value, b.value);
  if (a.value instanceof Map && b.value instanceof Map) return areEqualMaps(a.value, b.value);
  // The package's null has undefined as its value.
  return a.value === b.value && (a.value !== undefined || a.type === b.type);
}

function areEqualLists(a: readonly TemplateValue[], b: readonly TemplateValue[]): boolean {
  return a.length === b.length && a.every((member, index) => isSame(member, b[index]));
}

function areEqualMaps(a: ReadonlyMap<string, TemplateValue>, b: ReadonlyMap<string, TemplateValue>): boolean {
  return a.size === b.size && [...a].every(([key, member]) => isSame(member, b.get(key)));
}

function isSame(a: TemplateValue, b: TemplateValue | undefined): boolean {
  return b !== undefined && (a === b || equals(a, b));
}

/** Python's `str` of a value that is written into text; undefined where the package's own is the same. */
export function written(value: TemplateValue): string | undefined {
  const isOwn = value.type === "StringValue" || value.type === "UndefinedValue" || value.type === "FunctionValue";
  return isOwn || value.type === "IntegerValue" || value.type === "FloatValue" ? undefined : represent(value);
}

/** Python's `repr`. */
function represent({ type, value }: TemplateValue): string {
  if (type === "NullValue") return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return representString(value);
  if (typeof value === "number")
    return type === "FloatValue" && Number.isInteger(value) ? value.toFixed(1) : String(value);
  if (value instanceof Map) {
    const entries = [...value].map(([key, member]) => `${representString(String(key))}: ${represent(member)}`);
    return `{${entries.join(", ")}}`;
  }
  if (!Array.isArray(value)) return "Undefined";
  const members = value.map(represent).join(", ");
  if (type !== "TupleValue") return `[${members}]`;
  return value.length === 1 ? `(${members},)` : `(${members})`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function representString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char] ?? char).replaceAll(quote, `\\${quote}`);
  return `${quote}${body.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`)}${quote}`;
}

import type { Arguments } from "./arguments.ts";
import { filter, type Filter } from "./filter.ts";
import { jsonText, type JsonStyle } from "./json-text.ts";
import { type Meter, TemplateLimit } from "./meter.ts";
import { formatPercent } from "./percent-format.ts";
import { pad } from "./string-methods.ts";
import { capitalize, replaceAll } from "./string-operations.ts";
import { linesOf, represent, strip, textOf } from "./text.ts";
import {
  charactersOf,
  isDict,
  isInteger,
  isList,
  iterate,
  lengthOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

const MAX_INDENT = 64;

/** Makes a filter of a value's text. */
function onText(name: string, change: (text: string) => string): [string, Filter] {
  return filter(name, [], (value, _, { meter }) => change(textOf(value, meter)));
}

const format: Filter = (value, { positional, named }, { meter }) => {
  if (positional.length > 0 && named.size > 0) {
    throw new TemplateError("can't handle positional and keyword arguments at the same time");
  }
  return formatPercent(textOf(value, meter), named.size > 0 ? new Map(named) : new Tuple(positional), meter);
};

export const TEXT_FILTERS: readonly (readonly [string, Filter])[] = [
  onText("upper", (text) => text.toUpperCase()),
  onText("lower", (text) => text.toLowerCase()),
  onText("capitalize", capitalize),
  onText("title", titleWords),
  onText("string", (text) => text),
  onText("safe", (text) => text),
  onText("escape", escapeHtml),
  onText("e", escapeHtml),
  onText("forceescape", escapeHtml),
  onText("striptags", (text) => strip(withoutTags(text).replaceAll(/\s+/g, " "), "both")),
  filter("wordcount", [], (value, _, { meter }) => textOf(value, meter).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
  filter("pprint", ["verbose"], (value, _, { meter }) => represent(value, meter)),
  filter("trim", ["chars"], (value, args, { meter }) =>
    strip(textOf(value, meter), "both", args.some("chars") === undefined ? undefined : args.text("chars")),
  ),
  filter("replace", ["old", "new", "count"], (value, args, { meter }) => {
    const [old, replacement] = [textOf(args.value("old"), meter), textOf(args.value("new"), meter)];
    const count = args.some("count") === undefined ? -1 : args.whole("count");
    return replaceAll(textOf(value, meter), old, replacement, count, meter);
  }),
  filter("center", ["width"], (value, args, { meter }) =>
    pad(textOf(value, meter), args.whole("width", 80), "both", " ", meter),
  ),
  filter("indent", ["width", "first", "blank"], (value, args, { meter }) => indent(value, args, meter)),
  filter("truncate", ["length", "killwords", "end", "leeway"], (value, args, { meter }) =>
    truncate(value, args, meter),
  ),
  filter("wordwrap", ["width", "break_long_words", "wrapstring", "break_on_hyphens"], () => {
    throw new TemplateError("the filter wordwrap is not supported");
  }),
  filter("urlencode", [], (value, _, { meter }) => urlEncode(value, meter)),
  filter("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"], (value, args, { meter }) =>
    jsonText(value, jsonStyle(args), meter),
  ),
  ["format", format],
];

/** Jinja's title: words begin after white space, `-` and opening brackets. */
function titleWords(text: string): string {
  return text.replace(/[^-\s({[<]+/gu, capitalize);
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };

function escapeHtml(text: string): string {
  return text.replace(/[&<>'"]/g, (char) => HTML[char] ?? char);
}

function indent(value: Value, args: Arguments, meter: Meter): string {
  if (typeof value !== "string") {
    throw value instanceof Undefined ? value.error : new TemplateError(`indent needs a str, not ${typeName(value)}`);
  }
  const width = args.optional("width") ?? 4;
  const margin = typeof width === "string" ? width : " ".repeat(bounded(args.whole("width", 4)));
  // A text that ends with a line break has an empty last line.
  const lines = linesOf(`${value}\n`);
  meter.makeText(value.length + lines.length * margin.length);
  const isBlankToo = args.flag("blank");
  const [first = "", ...rest] = lines;
  const shown = rest.map((line) => (line === "" && !isBlankToo ? line : margin + line));
  return (args.flag("first") ? margin : "") + [first, ...shown].join("\n");
}

function bounded(width: number): number {
  if (width > MAX_INDENT) throw new TemplateLimit("a wide indentation");
  return Math.max(0, width);
}

function jsonStyle(args: Arguments): JsonStyle {
  const width = args.some("indent");
  const indent =
    width === undefined ? undefined : isInteger(width) ? " ".repeat(bounded(Number(width))) : args.text("indent");
  const given = args.some("separators");
  const separators = given instanceof Tuple ? given.items : given !== undefined && isList(given) ? given : undefined;
  const [item = indent === undefined ? ", " : ",", key = ": "] = separators ?? [];
  if (typeof item !== "string" || typeof key !== "string") throw new TemplateError("separators must be two strings");
  return { indent, separators: [item, key], isAscii: args.flag("ensure_ascii"), isSorted: args.flag("sort_keys") };
}

function truncate(value: Value, args: Arguments, meter: Meter): Value {
  const [length, end] = [args.whole("length", 255), args.text("end", "...")];
  const leeway = args.some("leeway") === undefined ? 5 : args.whole("leeway");
  const size = lengthOf(value);
  if (size !== undefined && size <= length + leeway) return value;
  if (typeof value !== "string") throw new TemplateError(`truncate needs a str, not ${typeName(value)}`);
  const kept = charactersOf(value, meter)
    .slice(0, Math.max(0, length - (lengthOf(end) ?? 0)))
    .join("");
  if (args.flag("killwords")) return kept + end;
  const space = kept.lastIndexOf(" ");
  return (space < 0 ? kept : kept.slice(0, space)) + end;
}

function urlEncode(value: Value, meter: Meter): string {
  if (typeof value === "string" || !(isDict(value) || isList(value))) return quoted(textOf(value, meter), "/");
  const pairs = isDict(value) ? [...value] : value.map((pair) => iterate(pair, meter));
  return pairs.map(([key = null, entry = null]) => `${queryText(key, meter)}=${queryText(entry, meter)}`).join("&");
}

function queryText(value: Value, meter: Meter): string {
  return quoted(textOf(value, meter), "").replaceAll("%20", "+");
}

function quoted(text: string, kept: string): string {
  return Array.from(Buffer.from(text), (byte) => {
    const char = String.fromCharCode(byte);
    return /[\w.~-]/.test(char) || (kept !== "" && char === kept)
      ? char
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

/** The text without comments and tags. What opens one that never ends stays, and no other is looked for behind it. */
function withoutTags(text: string): string {
  let kept = "";
  let from = 0;
  const lastComment = text.lastIndexOf("-->");
  const lastTag = text.lastIndexOf(">");
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at)) {
    const isComment = text.startsWith("<!--", at) && lastComment >= at + 4;
    if (!isComment && lastTag < at) break;
    const end = isComment ? text.indexOf("-->", at + 4) + 3 : text.indexOf(">", at) + 1;
    kept += text.slice(from, at);
    from = end;
    at = end;
  }
  return kept + text.slice(from);
}

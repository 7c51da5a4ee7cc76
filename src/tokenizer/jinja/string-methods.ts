import { Arguments } from "./arguments.ts";
import { formatBraces, type MemberAccess } from "./brace-format.ts";
import type { Meter } from "./meter.ts";
import { capitalize, joinTexts, replaceAll, titleCase } from "./string-operations.ts";
import { isSpace, linesOf, strip, textOf } from "./text.ts";
import { splitAt, splitAtSpace, splitFromRight } from "./splitting.ts";
import {
  Callable,
  type CallArguments,
  hasSurrogates,
  isDict,
  iterate,
  lengthOf,
  TemplateError,
  Tuple,
  typeName,
  type Value,
} from "./values.ts";

type Method = (text: string, args: CallArguments, meter: Meter, members: MemberAccess) => Value;

/** Makes a method with these parameters. */
function taking(
  name: string,
  parameters: readonly string[],
  method: (text: string, args: Arguments, meter: Meter, members: MemberAccess) => Value,
): [string, Method] {
  return [name, (text, given, meter, members) => method(text, new Arguments(name, parameters, given), meter, members)];
}

function plain(name: string, method: (text: string) => Value): [string, Method] {
  return taking(name, [], (text) => method(text));
}

/** Makes an `is...` method: the pattern must match the whole text. */
function all(name: string, pattern: RegExp): [string, Method] {
  return plain(name, (text) => pattern.test(text));
}

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  plain("upper", (text) => text.toUpperCase()),
  plain("lower", (text) => text.toLowerCase()),
  plain("casefold", (text) => text.toLowerCase().replaceAll("ß", "ss")),
  plain("capitalize", capitalize),
  plain("title", titleCase),
  plain("swapcase", (text) =>
    text.replace(/\p{L}/gu, (char) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase())),
  ),
  ...(["strip", "lstrip", "rstrip"] as const).map((name) =>
    taking(name, ["chars"], (text, args) =>
      strip(text, SIDES[name], args.some("chars") === undefined ? undefined : args.text("chars")),
    ),
  ),
  taking("split", ["sep", "maxsplit"], (text, args, meter) => split(text, args, meter, false)),
  taking("rsplit", ["sep", "maxsplit"], (text, args, meter) => split(text, args, meter, true)),
  taking("splitlines", ["keepends"], (text, args, meter) => {
    const lines = linesOf(text, args.flag("keepends"));
    meter.members(lines.length);
    return lines;
  }),
  taking("partition", ["sep"], (text, args) =>
    partition(text, args.text("sep"), text.indexOf(args.text("sep")), false),
  ),
  taking("rpartition", ["sep"], (text, args) =>
    partition(text, args.text("sep"), text.lastIndexOf(args.text("sep")), true),
  ),
  taking("replace", ["old", "new", "count"], (text, args, meter) =>
    replaceAll(text, args.text("old"), args.text("new"), args.whole("count", -1), meter),
  ),
  taking("removeprefix", ["prefix"], (text, args) =>
    text.startsWith(args.text("prefix")) ? text.slice(args.text("prefix").length) : text,
  ),
  taking("removesuffix", ["suffix"], (text, args) =>
    text.endsWith(args.text("suffix")) ? text.slice(0, text.length - args.text("suffix").length) : text,
  ),
  taking("startswith", ["prefix", "start", "end"], (text, args) =>
    affixes("startswith", args.value("prefix")).some((affix) => part(text, args).text.startsWith(affix)),
  ),
  taking("endswith", ["suffix", "start", "end"], (text, args) =>
    affixes("endswith", args.value("suffix")).some((affix) => part(text, args).text.endsWith(affix)),
  ),
  taking("join", ["iterable"], (text, args, meter) => {
    const items = iterate(args.value("iterable"), meter);
    const wrong = items.findIndex((item) => typeof item !== "string");
    const item = items[wrong];
    if (item === undefined) return joinTexts(items, text, meter);
    throw new TemplateError(`sequence item ${wrong}: expected str instance, ${typeName(item)} found`);
  }),
  ...(["find", "rfind", "index", "rindex"] as const).map((name) =>
    taking(name, ["sub", "start", "end"], (text, args) => position(name, text, args)),
  ),
  taking("count", ["sub", "start", "end"], (text, args) => {
    const [{ text: within }, sub] = [part(text, args), args.text("sub")];
    return sub === "" ? (lengthOf(within) ?? 0) + 1 : within.split(sub).length - 1;
  }),
  taking("zfill", ["width"], (text, args, meter) => {
    const [sign] = /^[-+]?/.exec(text) ?? [""];
    return sign + pad(text.slice(sign.length), args.whole("width") - sign.length, "left", "0", meter);
  }),
  taking("ljust", ["width", "fillchar"], (text, args, meter) => justify(text, args, "right", meter)),
  taking("rjust", ["width", "fillchar"], (text, args, meter) => justify(text, args, "left", meter)),
  taking("center", ["width", "fillchar"], (text, args, meter) => justify(text, args, "both", meter)),
  taking("expandtabs", ["tabsize"], (text, args, meter) => {
    const size = args.whole("tabsize", 8);
    meter.makeText(text.length * Math.max(1, size));
    return expandTabs(text, size);
  }),
  ["format", (text, args, meter, members) => formatBraces(text, args, members, meter)],
  taking("format_map", ["mapping"], (text, args, meter, members) => {
    const mapping = args.value("mapping");
    if (!isDict(mapping)) throw new TemplateError("format_map() argument must be a mapping");
    const named = new Map(Array.from(mapping, ([key, value]) => [textOf(key, meter), value]));
    return formatBraces(text, { positional: [], named }, members, meter);
  }),
  all("isdigit", /^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]+$/u),
  all("isdecimal", /^\p{Nd}+$/u),
  all("isnumeric", /^\p{N}+$/u),
  all("isalpha", /^\p{L}+$/u),
  all("isalnum", /^[\p{L}\p{N}]+$/u),
  // oxlint-disable-next-line no-control-regex -- All of ASCII.
  all("isascii", /^[\0-\x7f]*$/),
  all("isidentifier", /^[\p{L}_][\p{L}\p{N}_]*$/u),
  all("isprintable", /^(?:[^\p{C}\p{Z}]| )*$/u),
  plain("isspace", (text) => text !== "" && Array.from(text).every(isSpace)),
  plain("isupper", (text) => /\p{Lu}/u.test(text) && text === text.toUpperCase()),
  plain("islower", (text) => /\p{Ll}/u.test(text) && text === text.toLowerCase()),
  plain("istitle", (text) => /\p{L}/u.test(text) && text === titleCase(text)),
]);

const SIDES = { strip: "both", lstrip: "left", rstrip: "right" } as const;

/** Python's `expandtabs`: each tab becomes spaces up to the next column that is a multiple of `size`. */
function expandTabs(text: string, size: number): string {
  let column = 0;
  // A pattern that takes the text before a tab too would look for a tab from each character on.
  return text.replace(/[^\t\n\r]+|[\t\n\r]/g, (run) => {
    if (run === "\t") {
      const spaces = size > 0 ? size - (column % size) : 0;
      column += spaces;
      return " ".repeat(spaces);
    }
    column = run === "\n" || run === "\r" ? 0 : column + (lengthOf(run) ?? 0);
    return run;
  });
}

/** JavaScript's undefined where strings have no method of this name. */
export function stringMethod(text: string, name: string, meter: Meter, members: MemberAccess): Callable | undefined {
  const method = METHODS.get(name);
  return (
    method &&
    new Callable(name, (args) => {
      meter.readText(text.length);
      return method(text, args, meter, members);
    })
  );
}

function split(text: string, args: Arguments, meter: Meter, isFromRight: boolean): Value {
  const [separator, most] = [args.some("sep"), args.whole("maxsplit", -1)];
  if (separator === undefined) return splitAtSpace(text, most, meter, isFromRight);
  const by = args.text("sep");
  if (by === "") throw new TemplateError("empty separator");
  return isFromRight ? splitFromRight(text, by, most, meter) : splitAt(text, by, most, meter);
}

function partition(text: string, separator: string, at: number, isFromRight: boolean): Tuple {
  if (separator === "") throw new TemplateError("empty separator");
  if (at < 0) return new Tuple(isFromRight ? ["", "", text] : [text, "", ""]);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

function affixes(name: string, value: Value): string[] {
  const items = value instanceof Tuple ? value.items : [value];
  return items.map((item) => {
    if (typeof item === "string") return item;
    throw new TemplateError(`${name} first arg must be str or a tuple of str, not ${typeName(item)}`);
  });
}

/** The part between `start` and `end`, and the index where it begins, in UTF-16 units. */
function part(text: string, args: Arguments): { text: string; from: number } {
  const [start, end] = [args.some("start") ?? 0, args.some("end")];
  if (start === 0 && end === undefined) return { text, from: 0 };
  const chars = Array.from(text);
  const from = chars.slice(0, args.whole("start", 0)).join("").length;
  return {
    text: chars.slice(args.whole("start", 0), end === undefined ? undefined : args.whole("end")).join(""),
    from,
  };
}

function position(name: "find" | "rfind" | "index" | "rindex", text: string, args: Arguments): number {
  const { text: within, from } = part(text, args);
  const sub = args.text("sub");
  const at = name.startsWith("r") ? within.lastIndexOf(sub) : within.indexOf(sub);
  if (at >= 0) return hasSurrogates(text) ? (lengthOf(text.slice(0, from + at)) ?? 0) : from + at;
  if (name === "find" || name === "rfind") return -1;
  throw new TemplateError("substring not found");
}

function justify(text: string, args: Arguments, side: "left" | "right" | "both", meter: Meter): string {
  const fill = args.text("fillchar", " ");
  if (lengthOf(fill) !== 1) throw new TemplateError("The fill character must be exactly one character long");
  return pad(text, args.whole("width"), side, fill, meter);
}

/** Pads a text to at least this many characters. */
export function pad(text: string, width: number, side: "left" | "right" | "both", fill: string, meter: Meter): string {
  const missing = Math.max(0, width - (lengthOf(text) ?? 0));
  meter.makeText(text.length + missing * fill.length);
  if (side === "left") return fill.repeat(missing) + text;
  if (side === "right") return text + fill.repeat(missing);
  // Python puts the extra space on the left where the width is odd.
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

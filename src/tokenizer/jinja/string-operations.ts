import type { Meter } from "./meter.ts";
import { textOf } from "./text.ts";
import type { Value } from "./values.ts";

export function capitalize(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Python's `str.title`: a letter that does not follow a letter becomes upper case. */
export function titleCase(text: string): string {
  return text.replace(/\p{L}+/gu, capitalize);
}

/** Joins the texts of all values with the separator. */
export function joinTexts(values: readonly Value[], separator: string, meter: Meter): string {
  meter.members(values.length);
  let text = "";
  for (const [index, value] of values.entries()) {
    text += index === 0 ? textOf(value, meter) : separator + textOf(value, meter);
    meter.makeText(text.length);
  }
  return text;
}

/** Python's `str.replace`; a count below 0 means no bound. */
export function replaceAll(text: string, old: string, replacement: string, count: number, meter: Meter): string {
  const most = count < 0 ? Infinity : count;
  const times = occurrences(text, old, most);
  meter.makeText(text.length + times * Math.max(0, replacement.length - old.length));
  if (times === 0) return text;
  if (old === "") {
    const chars = Array.from(text);
    const written = chars.map((char, index) => (index < times ? replacement + char : char)).join("");
    return times > chars.length ? written + replacement : written;
  }
  if (count < 0) return text.replaceAll(old, () => replacement);
  const pieces = text.split(old);
  return [...pieces.slice(0, times), pieces.slice(times).join(old)].join(replacement);
}

/** How often a string occurs in another, counted up to a bound. */
function occurrences(text: string, part: string, bound: number): number {
  if (part === "") return Math.min(bound, Array.from(text).length + 1);
  let count = 0;
  for (let at = text.indexOf(part); at >= 0 && count < bound; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

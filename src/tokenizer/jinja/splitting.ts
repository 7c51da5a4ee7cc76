import type { Meter } from "./meter.ts";
import { isSpace } from "./text.ts";

/** Python's `str.split` at a non-empty string; `most` below 0 means no bound. */
export function splitAt(text: string, separator: string, most: number, meter: Meter): string[] {
  const parts: string[] = [];
  let from = 0;
  const bound = most < 0 ? Infinity : most;
  while (parts.length < bound) {
    const at = text.indexOf(separator, from);
    if (at < 0) break;
    parts.push(text.slice(from, at));
    if (parts.length % 1024 === 0) meter.members(parts.length);
    from = at + separator.length;
  }
  parts.push(text.slice(from));
  meter.members(parts.length);
  return parts;
}

/** Python's `str.rsplit`: a bound counts from the end. */
export function splitFromRight(text: string, separator: string, most: number, meter: Meter): string[] {
  if (most < 0) return splitAt(text, separator, most, meter);
  const parts: string[] = [];
  let end = text.length;
  while (parts.length < most) {
    const at = end < separator.length ? -1 : text.lastIndexOf(separator, end - separator.length);
    if (at < 0) break;
    parts.unshift(text.slice(at + separator.length, end));
    meter.members(parts.length);
    end = at;
  }
  return [text.slice(0, end), ...parts];
}

/** `split` and `rsplit` without a separator: at runs of white space, which is also removed at both ends. */
export function splitAtSpace(text: string, most: number, meter: Meter, isFromRight: boolean): string[] {
  const words = wordsOf(text, meter);
  if (most < 0 || words.length <= most) return words.map(({ from, end }) => text.slice(from, end));
  if (isFromRight) {
    const last = words.slice(words.length - most);
    const head = words[words.length - most - 1];
    return [...(head ? [text.slice(0, head.end)] : []), ...last.map(({ from, end }) => text.slice(from, end))];
  }
  const rest = words[most];
  return [
    ...words.slice(0, most).map(({ from, end }) => text.slice(from, end)),
    ...(rest ? [text.slice(rest.from)] : []),
  ];
}

function wordsOf(text: string, meter: Meter): { from: number; end: number }[] {
  const words: { from: number; end: number }[] = [];
  let from = -1;
  for (let at = 0; at <= text.length; at += 1) {
    const isGap = at === text.length || isSpace(text.charAt(at));
    if (!isGap && from < 0) from = at;
    if (!isGap || from < 0) continue;
    words.push({ from, end: at });
    if (words.length % 1024 === 0) meter.members(words.length);
    from = -1;
  }
  return words;
}

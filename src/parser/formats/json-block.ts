import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";

/** Calls as JSON, an object or an array, between an opening and a closing marker. `stops` end the answer. */
export function jsonBlock(
  openers: readonly string[],
  closers: readonly string[],
  stops: readonly string[],
  more: Partial<CallFormat> = {},
): CallFormat {
  const ends = new MarkerSet([...closers, ...stops]);
  return {
    openers,
    closers,
    isMarked: true,
    read: (context) => readJsonCalls(context, ends),
    ...more,
  };
}

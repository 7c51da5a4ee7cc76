import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";

/** Calls as JSON, an object or an array, between an opening and a closing marker. */
export function jsonBlock(opener: string, closer?: string, more: Partial<CallFormat> = {}): CallFormat {
  const closers = closer === undefined ? [] : [closer];
  const ends = new MarkerSet(closers);
  return {
    openers: [opener],
    closers,
    isMarked: true,
    read: (context) => readJsonCalls(context, ends),
    ...more,
  };
}

import type { CallFormat } from "./call-format.ts";
import { MarkerSet } from "./marker-set.ts";

/** How reasoning is marked in the text. */
export interface ReasoningMarks {
  readonly start: string;
  readonly end: string;
  /** A word that may stand alone on the line of the start marker. It is not part of the reasoning. */
  readonly label?: string;
  /** The marks are special tokens: an end without a start is dropped. */
  readonly areSpecial?: boolean;
  /** Further forms of start and end. */
  readonly otherStarts?: readonly string[];
  readonly otherEnds?: readonly string[];
  /** Tokens that are dropped everywhere. */
  readonly ignored?: readonly string[];
}

export type MarkerRole = "reasoning start" | "reasoning end" | "ignored" | "stop" | "wrapper" | "opener" | "closer";

/** The markers to look for in each state of a text, and their meaning. All parsers of the same formats share one plan. */
export interface MarkerPlan {
  readonly marks: ReasoningMarks | undefined;
  readonly label: MarkerSet | undefined;
  readonly format: CallFormat | undefined;
  readonly inContent: MarkerSet;
  readonly inReasoning: MarkerSet;
  readonly roles: ReadonlyMap<string, MarkerRole>;
}

/** Makes the plan for a pair of formats. Callers keep it, because it is costly. */
export function createMarkerPlan(
  marks: ReasoningMarks | undefined,
  format: CallFormat | undefined,
  stopTokens: readonly string[],
): MarkerPlan {
  const roles = new Map<string, MarkerRole>();
  const add = (role: MarkerRole, markers: readonly string[] = []): readonly string[] => {
    for (const marker of markers) roles.set(marker, role);
    return markers;
  };
  const stops = add("stop", stopTokens);
  const ignored = add("ignored", [...(marks?.ignored ?? []), ...(format?.ignored ?? [])]);
  const closers = add("closer", format?.closers);
  const calls = [...add("wrapper", format?.wrappers), ...add("opener", format?.openers)];
  const starts = add("reasoning start", marks && [marks.start, ...(marks.otherStarts ?? [])]);
  const ends = add("reasoning end", marks && [marks.end, ...(marks.otherEnds ?? [])]);
  const reasoning = [...starts, ...ends];
  const plainTo = (marker: string, text: string, at: number): number =>
    roles.get(marker) === "opener" ? (format?.plainTo?.(text, at) ?? at) : at;
  return {
    marks,
    label: marks?.label === undefined ? undefined : new MarkerSet([marks.label]),
    format,
    inContent: new MarkerSet([...reasoning, ...calls, ...closers, ...ignored, ...stops], format?.plainTo && plainTo),
    // Models forget to close their reasoning, so marked calls also count within it.
    inReasoning: new MarkerSet([...reasoning, ...(format?.isMarked === true ? calls : []), ...stops]),
    roles,
  };
}

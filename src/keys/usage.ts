/** What was used. */
export interface Usage {
  readonly requests: number;
  /** Requests among them that ended with an error. */
  readonly errors: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that the worker had in its cache. */
  readonly cachedTokens: number;
}

/** What one key has used of one model within one minute. */
export interface UsageRow extends Usage {
  /** Name of the key. */
  readonly key: string;
  /** Whether it is the name of a token's bearer. */
  readonly isBearer: boolean;
  readonly model: string;
  /** Begin of the minute, ms since 1970. */
  readonly minute: number;
}

/** Times of one length: usage is kept by minute for two days, and by day (UTC) for 400. */
export type UsageWindow = "minute" | "day";

export const WINDOW_MS: Readonly<Record<UsageWindow, number>> = { minute: 60_000, day: 86_400_000 };
/** How long rows of each window are kept, ms. */
export const KEPT_MS: Readonly<Record<UsageWindow, number>> = { minute: 2 * 86_400_000, day: 400 * 86_400_000 };

export interface UsageQuery {
  readonly window: UsageWindow;
  /** Only windows that begin at this time or later, and before `to`; ms since 1970. */
  readonly from: number;
  readonly to: number;
  /** What each row of the answer is of; windows that are not named are summed up. */
  readonly by: readonly UsageGroup[];
  readonly key?: string | undefined;
  readonly model?: string | undefined;
  /** Most rows of the answer. */
  readonly limit: number;
}

export const USAGE_GROUPS = ["key", "model", "time"] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

/** A sum of usage; of the things that it is not grouped by, undefined. */
export interface UsageTotal extends Usage {
  readonly key: string | undefined;
  readonly model: string | undefined;
  /** Begin of the window, ms since 1970. */
  readonly time: number | undefined;
}

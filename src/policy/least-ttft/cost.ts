/**
 * The terms of the cost of a request at a worker, in seconds. Their sum is compared, and the lowest wins. Waiting and the request's own
 * prefill are the time to its first token; the other terms are what it costs the requests around it. Each constant may be
 * two or three times larger or smaller without much effect on any load that was measured.
 */

/**
 * What is known of a queue is less certain than the request's own prefill, and who waits there makes others wait as well: waiting counts
 * twice, but for at most this much more, s. Without the bound, sessions with very long contexts leave their caches for what is only a doubt.
 */
const HEDGE = 1;
const MOST_HEDGE_S = 0.5;
/** Share of the time since the last sign of progress that is believed to have gone into the oldest request. */
const PROGRESS = 0.75;
/** A worker is late, and every further second counts as waiting, after this many times the oldest request's service time, and a grace, s. */
const LATE_FACTOR = 1.5;
const LATE_GRACE_S = 0.1;
/** What a decode step takes: for each sequence, s, and for each token of their contexts, s. */
const STEP_PER_SEQUENCE_S = 4.19e-4;
const STEP_PER_TOKEN_S = 1.42e-7;
/** Decode steps of the request itself that count. */
const STEPS = 10;
/**
 * Share of the prefill by which each decoding sequence is held up, and the most of it that all of them together count for: without the
 * bound, a batch of twenty-five makes each uncached token more than twice as dear, and caches outweigh queues. At a decode worker, which
 * has many of them, each weighs more, and there is no bound.
 */
const HELD_UP = 0.05;
const MOST_HELD_UP = 0.25;
const HELD_UP_AT_DECODE = 0.2;
/**
 * Share of a prefill's time that it costs others when its new blocks push out old ones of a full cache: each old one is reckoned to be
 * prefilled once more.
 */
const EVICTION = 1;
/**
 * Share of the KV cache that may be full at no cost, and the seconds for each whole capacity beyond it. Nobody waits before it is full, so a
 * wall much further down only drives sessions away from what is cached for them; one at its end leaves no room for answers to grow.
 */
const WALL_AT = 0.95;
const WALL_S = 10;

/**
 * Work of a prefill in units of tokens: `uncached` tokens after `cached` ones. `attention` is what a token costs more, as a share,
 * for each token that it attends to, twice over: each new token attends to the cached ones and, on average, to half of the new ones.
 */
export function prefillWork(cached: number, uncached: number, attention: number): number {
  return uncached + attention * uncached * (2 * cached + uncached);
}

/**
 * Time until a worker with pending requests begins a new one, s. `overheadS` and `perTokenS` are its rates, `work` the sum of what
 * pends there, `oldestWork` the part of the oldest request and `elapsedS` the time since the worker's last first token or since the oldest
 * was sent, whichever was later. A worker that is silent for longer than the oldest explains has stalled, and each further second counts.
 */
export function waitingSeconds(
  overheadS: number,
  perTokenS: number,
  work: number,
  oldestWork: number,
  elapsedS: number,
): number {
  const oldestS = overheadS + perTokenS * oldestWork;
  const waitS = overheadS + perTokenS * work - PROGRESS * Math.min(elapsedS, oldestS);
  return waitS + Math.max(0, elapsedS - LATE_FACTOR * oldestS - LATE_GRACE_S);
}

/**
 * The cost of waiting, s. `ownS` is the part of it in which the worker prefills what the request needs as well: that is no more waiting
 * than its own prefill elsewhere would be.
 */
export function waitingCost(waitingS: number, ownS: number): number {
  return waitingS + Math.min(HEDGE * Math.max(0, waitingS - ownS), MOST_HEDGE_S);
}

/** The cost of the request's own decode steps at a worker with so many requests in flight and so long contexts, s. */
export function decodeCost(inFlight: number, contextTokens: number): number {
  return STEPS * (STEP_PER_SEQUENCE_S * inFlight + STEP_PER_TOKEN_S * contextTokens);
}

/** The cost for the sequences that decode at the worker: the prefill holds them up, s. `isAtDecode`: it is a decode worker. */
export function heldUpCost(prefillS: number, decoding: number, isAtDecode = false): number {
  return prefillS * (isAtDecode ? HELD_UP_AT_DECODE * decoding : Math.min(HELD_UP * decoding, MOST_HELD_UP));
}

/** The cost of the blocks that a prefill of this many uncached tokens pushes out of a cache that is full to the share `fill`, s. */
export function evictionCost(perTokenS: number, uncached: number, fill: number): number {
  return EVICTION * perTokenS * uncached * fill;
}

/** The cost of a context for which the KV cache is nearly too small, so that requests wait or are preempted, s; 0 where its size is unknown. */
export function kvWallCost(contextTokens: number, capacityTokens: number | undefined): number {
  if (capacityTokens === undefined) return 0;
  return WALL_S * Math.max(0, contextTokens / capacityTokens - WALL_AT);
}

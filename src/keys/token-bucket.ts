/**
 * A bucket that holds what may be spent in one minute, and fills at the same rate, as one number (the generic cell rate algorithm, ITU-T
 * I.371): the time at which the bucket is full again. One number can be changed with one compare-and-exchange, so several threads share it
 * without a lock.
 *
 * In any time t, at most `perMinute * (1 + t / minute)` is spent, and what `settle` adds beyond an estimate. Times are ms.
 */
const MINUTE_MS = 60_000;
/** Part of a unit, ms, that rounding may cost. */
const ROUNDING_MS = 1e-6;

/** `fullAt` after `cost` was taken at `now`; undefined where the bucket does not hold so much. */
export function take(fullAt: number, now: number, cost: number, perMinute: number): number | undefined {
  const next = Math.max(fullAt, now) + (cost * MINUTE_MS) / perMinute;
  return next - now <= MINUTE_MS + ROUNDING_MS ? next : undefined;
}

/** `fullAt` after `more` was found to be spent; negative where less was spent than was taken. It may bring the bucket below empty. */
export function settle(fullAt: number, now: number, more: number, perMinute: number): number {
  const change = (more * MINUTE_MS) / perMinute;
  return more > 0 ? Math.max(fullAt, now) + change : fullAt + change;
}

/** What the bucket holds at `now`, in whole units. */
export function remaining(fullAt: number, now: number, perMinute: number): number {
  const filled = MINUTE_MS - Math.max(0, fullAt - now);
  return Math.max(0, Math.floor(((filled + ROUNDING_MS) * perMinute) / MINUTE_MS));
}

/** Time until the bucket holds `cost`, ms; 0 where it holds it now. */
export function waitMs(fullAt: number, now: number, cost: number, perMinute: number): number {
  return Math.max(0, fullAt - now + (cost * MINUTE_MS) / perMinute - MINUTE_MS);
}

/** Time until the bucket is full, ms. */
export function fullInMs(fullAt: number, now: number): number {
  return Math.max(0, fullAt - now);
}

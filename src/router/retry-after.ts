import type { FieldReader } from "../util/header-reader.ts";

/** Longest rest that the gateway accepts, ms. Clients give up after it. */
const MAX_REST_MS = 120_000;
const LEAST_REST_MS = 1000;

/**
 * How long a worker asks to get no requests, ms; undefined where it does not ask. `Retry-After` is a number of seconds or a date
 * (RFC 9110, 10.2.3); `retry-after-ms` of OpenAI and Azure is finer. `now`: wall-clock time.
 */
export function retryAfterMs(headers: FieldReader, now: number): number | undefined {
  const told = millis(headers.get("retry-after-ms")) ?? restOf(headers.get("retry-after"), headers.get("date"), now);
  return told === undefined ? undefined : Math.min(Math.max(told, LEAST_REST_MS), MAX_REST_MS);
}

function millis(value: string | undefined): number | undefined {
  return value !== undefined && /^[0-9]{1,9}(\.[0-9]{1,9})?$/.test(value) ? Number(value) : undefined;
}

function restOf(value: string | undefined, date: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  // A number that is too long means the longest rest.
  if (/^[0-9]{1,15}$/.test(value)) return Number(value) * 1000;
  const until = httpDate(value);
  // Uses the worker's own clock, where it sends its time, because that clock may be wrong.
  return until === undefined ? undefined : until - (httpDate(date) ?? now);
}

/** Reads the three forms of a date in HTTP; the last one does not name its zone, GMT. */
function httpDate(value: string | undefined): number | undefined {
  if (value === undefined || value.length > 40) return undefined;
  const isAsctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [0-9]{4}$/.test(value);
  const isDated = /^[A-Z][a-z]{2,8}, [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{8} GMT$/.test(value);
  const time = isAsctime || isDated ? Date.parse(isAsctime ? `${value} GMT` : value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

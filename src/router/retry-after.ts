import type { FieldReader } from "../transport/http1/fields.ts";

/** Longest rest that is believed, ms. Clients give up beyond it. */
const MAX_REST_MS = 120_000;
const LEAST_REST_MS = 1000;

/**
 * For how long a worker wants to be left alone, ms; undefined where it does not say. `Retry-After` is a number of seconds
 * or a date (RFC 9110, 10.2.3); `retry-after-ms` is OpenAI's and Azure's, and finer. `now`: the wall clock.
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
  // Too long to be a number is for ever, within our bounds.
  if (/^[0-9]{1,15}$/.test(value)) return Number(value) * 1000;
  const until = httpDate(value);
  // The worker's own clock where it says what that shows: it may go wrong.
  return until === undefined ? undefined : until - (httpDate(date) ?? now);
}

/** The three forms of a date in HTTP; the last one leaves out that it is GMT. */
function httpDate(value: string | undefined): number | undefined {
  if (value === undefined || value.length > 40) return undefined;
  const isAsctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [0-9]{4}$/.test(value);
  const isDated = /^[A-Z][a-z]{2,8}, [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{8} GMT$/.test(value);
  const time = isAsctime || isDated ? Date.parse(isAsctime ? `${value} GMT` : value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

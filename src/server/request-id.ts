import type { HeaderReader } from "../util/header-reader.ts";
/** An id that is safe in a header and a log line. */
const VALID_ID = /^[\w.:-]{1,128}$/;

/** The client's id, from the first header of `names` with a valid one; otherwise a new id. */
export function requestIdOf(headers: HeaderReader, names: readonly string[]): string {
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null && VALID_ID.test(value)) return value;
  }
  return crypto.randomUUID();
}

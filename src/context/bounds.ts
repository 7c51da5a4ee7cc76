const MS = 1000;

/** Turns the configuration's seconds into milliseconds, the unit of all other code. */
export function ms(secs: number): number {
  return secs * MS;
}

/** Turns a bound of the configuration, where 0 means none, into a number; Infinity for none. */
export function bound(most: number): number {
  return most > 0 ? most : Number.POSITIVE_INFINITY;
}

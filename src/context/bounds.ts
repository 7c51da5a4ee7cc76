const MS = 1000;

/** Seconds of the configuration as milliseconds, which all other code counts in. */
export function ms(secs: number): number {
  return secs * MS;
}

/** A bound of the configuration, where 0 stands for none: Infinity then. */
export function bound(most: number): number {
  return most > 0 ? most : Number.POSITIVE_INFINITY;
}

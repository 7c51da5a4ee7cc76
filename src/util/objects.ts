/** The keys of an object that has no others than its type says, as a table or a schema's shape does. */
export function keysOf<T extends object>(object: T): (keyof T & string)[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place where it is so
  return Object.keys(object) as (keyof T & string)[];
}

export type AnyRecord = Record<string, unknown>;

/** An object that is not a list. */
export function isRecord(value: unknown): value is AnyRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

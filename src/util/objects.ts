/** The keys of an object that has only the keys of its type, such as a table or a schema's shape. */
export function keysOf<T extends object>(object: T): (keyof T & string)[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place that turns names into keys
  return Object.keys(object) as (keyof T & string)[];
}

export type AnyRecord = Record<string, unknown>;

/** Whether the value is an object and not a list. */
export function isRecord(value: unknown): value is AnyRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

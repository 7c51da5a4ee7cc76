import { snakeCase } from "../util/case.ts";
import { isRecord } from "../util/objects.ts";
import { Secret } from "../util/secret.ts";

/** A configuration, or a value of one, in the form of a file, with secrets redacted. */
export function shown(value: unknown): unknown {
  if (value instanceof Secret) return value.toJSON();
  if (Array.isArray(value)) return value.map(shown);
  if (!isRecord(value)) return value;
  // The source of a worker is no option.
  const entries = Object.entries(value).filter(([key, inner]) => inner !== undefined && key !== "source");
  return Object.fromEntries(entries.map(([key, inner]) => [snakeCase(key), key === "labels" ? inner : shown(inner)]));
}

import { isRecord } from "../util/objects.ts";
import { Secret } from "../util/secret.ts";
import type { Config } from "./schema.ts";

/**
 * The configuration in the form that its schema reads, with secrets in the clear. It is only for another thread of this process.
 * It has no initial workers, because the control thread sends a serving thread the workers.
 */
export function plainConfig(config: Config): Record<string, unknown> {
  const { initialWorkers: _, ...options } = config;
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [key, plain(value)]));
}

function plain(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(plain);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

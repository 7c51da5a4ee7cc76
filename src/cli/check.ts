import { stringify } from "yaml";
import type { Config } from "../config/schema.ts";
import { snakeCase } from "../util/case.ts";
import { Secret } from "../util/secret.ts";
import { loadFromArguments } from "./load-from-arguments.ts";
import type { ServeArguments } from "./read-words.ts";

/** `pointsman check`: prints the resulting configuration as YAML. Throws ConfigError. */
export async function check(given: ServeArguments): Promise<void> {
  const { config, notices } = loadFromArguments(given);
  for (const notice of notices) process.stderr.write(`pointsman: ${notice}\n`);
  process.stdout.write(configPage(config));
}

/** The configuration in the form of a file, with secrets redacted. */
export function configPage(config: Config): string {
  const initialWorkers = config.initialWorkers.map((worker) => ({ ...worker, source: undefined }));
  return stringify(forPrint({ ...config, initialWorkers }));
}

function forPrint(value: unknown): unknown {
  if (value instanceof Secret) return value.toJSON();
  if (Array.isArray(value)) return value.map(forPrint);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.map(([key, inner]) => [snakeCase(key), key === "labels" ? inner : forPrint(inner)]),
  );
}

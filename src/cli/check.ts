import { stringify } from "yaml";
import { loadConfig } from "../config/load.ts";
import { snakeCase } from "../util/case.ts";
import { Secret } from "../util/secret.ts";
import type { ServeArguments } from "./program.ts";

/** `pointsman check`: the configuration as it would be run, as YAML. Throws ConfigError. */
export async function check(given: ServeArguments): Promise<void> {
  const { config, notices } = loadConfig({ file: given.file, env: process.env, flags: given.flags });
  for (const notice of notices) process.stderr.write(`pointsman: ${notice}\n`);
  process.stdout.write(stringify(forPrint(config)));
}

/** Keys as in the file, secrets redacted. */
function forPrint(value: unknown): unknown {
  if (value instanceof Secret) return value.toJSON();
  if (Array.isArray(value)) return value.map(forPrint);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.map(([key, inner]) => [snakeCase(key), key === "labels" ? inner : forPrint(inner)]),
  );
}

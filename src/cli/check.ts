import { stringify } from "yaml";
import type { Config } from "../config/schema.ts";
import { shown } from "../config/shown-config.ts";
import { loadFromArguments } from "./load-from-arguments.ts";
import type { ServeArguments } from "./read-words.ts";

/** `pointsman config check`: prints the resulting configuration as YAML. Throws ConfigError. */
export async function check(given: ServeArguments): Promise<void> {
  const { config, notices } = loadFromArguments(given);
  for (const notice of notices) process.stderr.write(`pointsman: ${notice}\n`);
  process.stdout.write(configPage(config));
}

/** The configuration in the form of a file, with secrets redacted. */
export function configPage(config: Config): string {
  return stringify(shown(config));
}

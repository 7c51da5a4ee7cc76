import { type ConfigText, type LoadedConfig, loadConfig } from "../config/load.ts";
import { settingsComplaints } from "../context/settings.ts";
import type { ServeArguments } from "./read-words.ts";

/**
 * The configuration of the command line, the environment and the file, or of a document in place of the file, which may
 * take what is `allowed` from outside. Throws ConfigError with all that is wrong in any of them.
 */
export function loadFromArguments(
  { file, flags }: ServeArguments,
  document?: ConfigText,
  allowed?: ReadonlySet<string>,
): LoadedConfig {
  return loadConfig({ file, document, allowed, env: process.env, flags, check: settingsComplaints });
}

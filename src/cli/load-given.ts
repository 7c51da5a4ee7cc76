import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { settingsComplaints } from "../context/settings.ts";
import type { ServeArguments } from "./read-words.ts";

/** The configuration that the words, the environment and the file come to. Throws ConfigError with all that is wrong. */
export function loadGiven({ file, flags }: ServeArguments): LoadedConfig {
  return loadConfig({ file, env: process.env, flags, check: settingsComplaints });
}

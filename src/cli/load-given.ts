import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { settingsComplaints } from "../context/settings.ts";
import type { ServeArguments } from "./read-words.ts";

/** Merges command line, environment and file. Throws ConfigError with all mistakes. */
export function loadGiven({ file, flags }: ServeArguments): LoadedConfig {
  return loadConfig({ file, env: process.env, flags, check: settingsComplaints });
}

import { ConfigError } from "../config/config-error.ts";

/** Reads a whole number within these bounds, both included. Throws ConfigError. */
export function readWhole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  // An empty shell variable is no 0.
  if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ConfigError(flag, `must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}

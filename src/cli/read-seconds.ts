import { ConfigError } from "../config/config-error.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Reads a time such as `90s`, `12h` or `7d`, in seconds. Throws ConfigError. */
export function readSeconds(flag: string, text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (digits !== "") return Number(digits) * (UNITS[unit] ?? 1);
  throw new ConfigError(flag, `must be a time such as 90s, 12h or 7d, not ${JSON.stringify(text)}`);
}

import { ConfigError } from "../config/config-error.ts";
import type { Config } from "../config/schema.ts";
import { ERRORS } from "../errors/errors.ts";
import { addressError } from "./address-error.ts";

/**
 * Turns an error of the start into a ConfigError if a change of the configuration can mend it: a setting that does not work, on this
 * thread or another, or an address that is not available. Returns other errors unchanged.
 */
export function startError(error: unknown, config: Config): unknown {
  if (error instanceof Error && "code" in error && Object.hasOwn(ERRORS, String(error.code))) {
    return new ConfigError("config", error.message);
  }
  return addressError(error, config);
}

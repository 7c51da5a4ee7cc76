import { ConfigError } from "../config/config-error.ts";
import type { Config } from "../config/schema.ts";
import { ERRORS } from "../errors/errors.ts";
import { addressError } from "./address-error.ts";

/**
 * What kept the gateway from starting, as a ConfigError where the configuration can be mended for it: a setting that cannot be
 * carried out, on this thread or on another, or an address that cannot be had. Any other error as it is.
 */
export function startError(error: unknown, config: Config): unknown {
  if (error instanceof Error && "code" in error && Object.hasOwn(ERRORS, String(error.code))) {
    return new ConfigError("config", error.message);
  }
  return addressError(error, config);
}

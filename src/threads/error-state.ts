import { GatewayError } from "../errors/errors.ts";
import type { ErrorState } from "./messages.ts";

/** An error as plain data, without its cause, which cannot be sent. */
export function errorState({ code, message, details }: GatewayError): ErrorState {
  const { cause: _cause, ...rest } = details;
  return { code, message, details: rest };
}

/** The GatewayError of a state from another thread. */
export function errorOf({ code, message, details }: ErrorState): GatewayError {
  return new GatewayError(code, message, details);
}

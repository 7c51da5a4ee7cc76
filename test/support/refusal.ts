import { GatewayError } from "../../src/errors/errors.ts";

/** What an action refuses with: code, status and when to come again; empty where it does not, and what it threw if that is another error. */
export function refusal(action: () => unknown): unknown[] {
  try {
    action();
    return [];
  } catch (error) {
    return error instanceof GatewayError ? [error.code, error.status, error.details.retryAfterSecs] : [error];
  }
}

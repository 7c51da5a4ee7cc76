import { GatewayError } from "../errors/errors.ts";
import type { HeaderReader } from "../util/header-reader.ts";

/**
 * Makes the gateway's entry in the `Via` field of what it sends to workers (RFC 9110, section 7.6.3), by which it knows a request that comes
 * back to it. A worker's address that leads back to the gateway would otherwise make thousands of requests of one. The entry has the
 * version of HTTP and a name that no other gateway has: `1.1 pointsman-1f3a9c20`.
 */
export function createVia(): string {
  return `1.1 pointsman-${crypto.randomUUID().slice(0, 8)}`;
}

/** Throws request_loop where the request has come through the gateway with this entry before. */
export function refuseLoop(via: string, headers: HeaderReader): void {
  if (headers.get("via")?.includes(via) === true) {
    throw new GatewayError("request_loop", "the request has come back to this gateway, which is its own worker");
  }
}

/** The header line for a request that the gateway with this entry sends on. `before`: the `Via` with which it came, or null. */
export function viaLine(via: string, before: string | null): string {
  return before === null ? `via: ${via}\r\n` : `via: ${before}, ${via}\r\n`;
}

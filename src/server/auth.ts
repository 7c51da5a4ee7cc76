import { createHash, timingSafeEqual } from "node:crypto";
import { GatewayError } from "../errors/errors.ts";
import type { Secret } from "../util/secret.ts";

/** Throws invalid_api_key unless the request may pass. */
export type Authenticate = (headers: Headers) => void;

/**
 * Compares digests, which are of one length and tell nothing of the key by the time it takes. A key comes as
 * `Authorization: Bearer` or `x-api-key`; where both come they must both be right.
 */
export function createAuthenticate(apiKey: Secret | undefined): Authenticate {
  if (!apiKey) return () => undefined;
  const expected = digest(apiKey.reveal());
  return (headers) => {
    const authorization = headers.get("authorization");
    const bearer = authorization === null ? undefined : (BEARER.exec(authorization)?.[1] ?? "");
    const plain = headers.get("x-api-key") ?? undefined;
    const given = [bearer, plain].filter((key) => key !== undefined);
    if (given.length > 0 && given.every((key) => timingSafeEqual(digest(key), expected))) return;
    throw new GatewayError("invalid_api_key", "the API key is missing or wrong");
  };
}

const BEARER = /^Bearer +(\S+)$/i;

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

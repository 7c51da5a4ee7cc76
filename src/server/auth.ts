import { createHash, timingSafeEqual } from "node:crypto";
import { GatewayError } from "../errors/errors.ts";
import type { Secret } from "../util/secret.ts";
import type { Priority } from "./admission.ts";
import type { HeaderReader } from "../util/header-reader.ts";

/** Who calls, as far as limits go. */
export interface Tenant {
  readonly name: string;
  readonly priority: Priority;
  /** Requests under way at once; Infinity for no bound. */
  readonly maxConcurrent: number;
  /** Infinity for no bound. */
  readonly requestsPerMinute: number;
}

export interface TenantKey extends Tenant {
  readonly key: Secret;
}

export interface AuthSettings {
  /** Keys that open the serving routes; none: everybody may call. */
  readonly keys: readonly TenantKey[];
  /** The one key that opens the admin routes. */
  readonly adminKey: Secret | undefined;
  /** Without an admin key the admin routes are open to whoever reaches them. */
  readonly isAdminOpen: boolean;
}

export interface Auth {
  /** Throws invalid_api_key. */
  serving(headers: HeaderReader): Tenant;
  /** Throws invalid_api_key, and forbidden for a key that opens the serving routes only. */
  admin(headers: HeaderReader): void;
}

const EVERYBODY: Tenant = {
  name: "everybody",
  priority: "normal",
  maxConcurrent: Number.POSITIVE_INFINITY,
  requestsPerMinute: Number.POSITIVE_INFINITY,
};

/**
 * Compares digests, which are of one length and tell nothing of the key by the time it takes. A key comes as
 * `Authorization: Bearer` or `x-api-key`; where both come they must be the same.
 */
export function createAuth({ keys, adminKey, isAdminOpen }: AuthSettings): Auth {
  const tenants = keys.map((tenant) => ({ digest: digest(tenant.key.reveal()), tenant }));
  const adminDigest = adminKey && digest(adminKey.reveal());
  const find = (given: Buffer | undefined): Tenant | undefined =>
    given && tenants.find((entry) => timingSafeEqual(given, entry.digest))?.tenant;
  return {
    serving(headers) {
      if (tenants.length === 0) return EVERYBODY;
      const tenant = find(givenDigest(headers));
      if (!tenant) throw new GatewayError("invalid_api_key", "the API key is missing or wrong");
      return tenant;
    },
    admin(headers) {
      const given = givenDigest(headers);
      if (adminDigest ? given && timingSafeEqual(given, adminDigest) : isAdminOpen) return;
      if (find(given)) throw new GatewayError("forbidden", "this key does not open the administration");
      throw new GatewayError("invalid_api_key", "the admin key is missing or wrong");
    },
  };
}

/** Digest of the key that the request brings; undefined where it brings none, or two that differ. */
function givenDigest(headers: HeaderReader): Buffer | undefined {
  const authorization = headers.get("authorization");
  const bearer = authorization === null ? undefined : (BEARER.exec(authorization)?.[1] ?? "");
  const plain = headers.get("x-api-key") ?? undefined;
  const key = bearer ?? plain;
  if (key === undefined || (plain !== undefined && plain !== key)) return undefined;
  return digest(key);
}

const BEARER = /^Bearer +(\S+)$/i;

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

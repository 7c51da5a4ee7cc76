import type { Limits, Priority, Role } from "./principal.ts";

/** A key as it is kept: everything but the key itself. Times are ms since 1970. */
export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  /** SHA-256 of the key. */
  readonly digest: Uint8Array;
  /** SHA-256 of the key before the last rotation, which is valid until `previousUntil`; undefined where there is none. */
  readonly previousDigest: Uint8Array | undefined;
  readonly previousUntil: number;
  readonly roles: readonly Role[];
  /** Patterns of models; undefined for all. */
  readonly models: readonly string[] | undefined;
  readonly limits: Limits;
  readonly priority: Priority;
  readonly createdAt: number;
  /** Infinity for never. */
  readonly expiresAt: number;
  /** undefined while the key is valid. */
  readonly revokedAt: number | undefined;
}

/** No limit of any kind. */
export const UNLIMITED: Limits = {
  requestsPerMinute: Number.POSITIVE_INFINITY,
  tokensPerMinute: Number.POSITIVE_INFINITY,
  maxConcurrent: Number.POSITIVE_INFINITY,
};

/** Whether some limit is set. */
export function isLimited({ requestsPerMinute, tokensPerMinute, maxConcurrent }: Limits): boolean {
  return Math.min(requestsPerMinute, tokensPerMinute, maxConcurrent) !== Number.POSITIVE_INFINITY;
}

import type { KeyRecord } from "./key-record.ts";

/** Where a key is kept: in the store, or in the configuration, where it is changed. */
export type KeyOrigin = "store" | "configuration";

/** A key as the administration and the command line show it. Nothing of the key itself is in it. */
export function keyView(record: KeyRecord, origin: KeyOrigin, now: number): object {
  const { limits } = record;
  return {
    id: record.id,
    name: record.name,
    origin,
    state: stateOf(record, now),
    roles: record.roles,
    models: record.models ?? null,
    requests_per_minute: finite(limits.requestsPerMinute),
    tokens_per_minute: finite(limits.tokensPerMinute),
    max_concurrent_requests: finite(limits.maxConcurrent),
    priority: record.priority,
    created_at: origin === "store" ? timeOf(record.createdAt) : null,
    expires_at: timeOf(record.expiresAt),
    revoked_at: record.revokedAt === undefined ? null : timeOf(record.revokedAt),
    previous_valid_until: record.previousUntil > now ? timeOf(record.previousUntil) : null,
  };
}

function stateOf({ revokedAt, expiresAt }: KeyRecord, now: number): "valid" | "revoked" | "expired" {
  if (revokedAt !== undefined) return "revoked";
  return expiresAt <= now ? "expired" : "valid";
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function timeOf(ms: number): string | null {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : null;
}

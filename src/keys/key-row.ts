import type { KeyRecord } from "./key-record.ts";
import { PRIORITIES, ROLES } from "./principal.ts";

/** A key as a row of a table; null where there is none of a thing. */
export interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly digest: Uint8Array;
  readonly previous_digest: Uint8Array | null;
  readonly previous_until: number;
  /** Names, joined by a space. */
  readonly roles: string;
  /** JSON. */
  readonly models: string | null;
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  readonly max_concurrent: number | null;
  readonly priority: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
}

/** The row of a key; its members are parameters of a statement. */
export function rowOf(record: KeyRecord): Record<string, string | number | Uint8Array | null> {
  const { limits } = record;
  const row: KeyRow = {
    id: record.id,
    name: record.name,
    digest: record.digest,
    previous_digest: record.previousDigest ?? null,
    previous_until: record.previousUntil,
    roles: record.roles.join(" "),
    models: record.models === undefined ? null : JSON.stringify(record.models),
    requests_per_minute: finite(limits.requestsPerMinute),
    tokens_per_minute: finite(limits.tokensPerMinute),
    max_concurrent: finite(limits.maxConcurrent),
    priority: record.priority,
    created_at: record.createdAt,
    expires_at: finite(record.expiresAt),
    revoked_at: record.revokedAt ?? null,
  };
  return { ...row };
}

/** The key of a row. */
export function recordOf(row: KeyRow): KeyRecord {
  const roles = row.roles.split(" ");
  return {
    id: row.id,
    name: row.name,
    digest: row.digest,
    previousDigest: row.previous_digest ?? undefined,
    previousUntil: row.previous_until,
    roles: ROLES.filter((role) => roles.includes(role)),
    models: row.models === null ? undefined : textsIn(row.models),
    limits: {
      requestsPerMinute: row.requests_per_minute ?? Number.POSITIVE_INFINITY,
      tokensPerMinute: row.tokens_per_minute ?? Number.POSITIVE_INFINITY,
      maxConcurrent: row.max_concurrent ?? Number.POSITIVE_INFINITY,
    },
    priority: PRIORITIES.find((name) => name === row.priority) ?? "normal",
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? Number.POSITIVE_INFINITY,
    revokedAt: row.revoked_at ?? undefined,
  };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** A key whose models cannot be read, because somebody has changed the file by hand, may use none; it must not keep other keys from being read. */
function textsIn(json: string): string[] {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

import { digestOf } from "../../src/keys/api-key.ts";
import { FailureBound } from "../../src/keys/failure-bound.ts";
import { type KeyRecord, UNLIMITED } from "../../src/keys/key-record.ts";
import { type FixedKeys, KeyRing } from "../../src/keys/key-ring.ts";
import { type Auth, type AuthDeps, createAuth } from "../../src/server/auth.ts";
import { ManualClock } from "./manual-clock.ts";

/** A key whose text is its name, of which a test says what matters to it. */
export function keyNamed(name: string, said: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id: name,
    name,
    digest: digestOf(name),
    previousDigest: undefined,
    previousUntil: 0,
    roles: ["client"],
    models: undefined,
    limits: UNLIMITED,
    priority: "normal",
    createdAt: 0,
    expiresAt: Number.POSITIVE_INFINITY,
    revokedAt: undefined,
    ...said,
  };
}

/** These keys, and nothing that opens the administration without a role. */
export function fixed(records: readonly KeyRecord[], said: Partial<FixedKeys> = {}): FixedKeys {
  return {
    keys: records.map((record) => ({ record, isLocalAdmin: false })),
    isClosed: records.length > 0,
    localAdmin: "nobody",
    ...said,
  };
}

/** The keys of a gateway with these, for so many threads. Without keys everybody may come, and who is on this machine administrates. */
export function ringOf(keys: FixedKeys = OPEN, { clock = new ManualClock(), threads = 1 } = {}): KeyRing {
  return new KeyRing({ fixed: keys, capacity: 0, threads, clock });
}

const OPEN: FixedKeys = { keys: [], isClosed: false, localAdmin: "this_machine" };

/** A check of callers with these keys. */
export function authOf(keys: FixedKeys = OPEN, said: Partial<AuthDeps> = {}): Auth {
  return createAuth({
    keys: ringOf(keys).table(),
    tokens: undefined,
    failures: new FailureBound(Number.POSITIVE_INFINITY, new ManualClock()),
    hosts: [],
    hasAdminPort: false,
    ...said,
  });
}

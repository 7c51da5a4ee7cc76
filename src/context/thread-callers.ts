import type { Config } from "../config/schema.ts";
import { FailureBound } from "../keys/failure-bound.ts";
import { openThreadKeys } from "../keys/key-ring.ts";
import type { KeyTable } from "../keys/key-table.ts";
import type { KeyLimits } from "../keys/limits.ts";
import { rowVersion } from "../keys/subject-rows.ts";
import { TokenCache, type Verify } from "../keys/token-cache.ts";
import type { VerifiedToken } from "../keys/token-claims.ts";
import type { UsageRow } from "../keys/usage.ts";
import { UsageTally } from "../keys/usage-tally.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { type Auth, createAuth } from "../server/auth.ts";
import type { Clock } from "../util/clock.ts";
import { bound } from "./bounds.ts";
import { AUTH_KEYS, BEARER_KEYS } from "./live-keys.ts";

/** What one thread needs of callers. */
export interface ThreadCallers extends Disposable {
  readonly auth: Auth;
  readonly limits: KeyLimits;
  readonly tally: UsageTally;
}

export interface ThreadCallersParts {
  readonly config: Config;
  readonly live: Pick<LiveConfig, "register">;
  readonly clock: Clock;
  /** Verifies tokens, on the control thread. */
  readonly verify: Verify;
}

/** Opens a serving thread's view of the keys, over the control thread's memory. `passUsage` gets what keys have used. */
export function openThreadCallers(
  parts: ThreadCallersParts,
  { keys, thread }: { readonly keys: SharedArrayBuffer; readonly thread: number },
  passUsage: (rows: readonly UsageRow[]) => void,
): ThreadCallers {
  const { table, limits } = openThreadKeys(keys, thread, parts.clock);
  const tally = new UsageTally(passUsage, parts.clock);
  return { auth: openAuth({ ...parts, table }), limits, tally, [Symbol.dispose]: () => tally[Symbol.dispose]() };
}

export interface OpenAuthParts extends ThreadCallersParts {
  readonly table: KeyTable;
}

/** Makes a thread's check of callers. */
export function openAuth({ config, live, table, clock, verify }: OpenAuthParts): Auth {
  const failures = new FailureBound(bound(config.authFailuresPerMinute), clock);
  const isCurrent = ({ principal, rowVersion: version }: VerifiedToken): boolean =>
    rowVersion(table.memory, principal.row) === version;
  const tokens = config.jwtIssuer === undefined ? undefined : new TokenCache(verify, isCurrent);
  live.register({
    name: "callers",
    keys: [...AUTH_KEYS, ...BEARER_KEYS],
    apply(next, previous) {
      failures.replace(bound(next.authFailuresPerMinute));
      // Tokens are admitted anew, with the limits that the control thread has by now.
      if (BEARER_KEYS.some((key) => next[key] !== previous[key])) tokens?.clear();
    },
  });
  return createAuth({
    keys: table,
    tokens,
    failures,
    hosts: [config.host.toLowerCase(), config.adminHost.toLowerCase()],
    hasAdminPort: config.adminPort !== undefined,
  });
}

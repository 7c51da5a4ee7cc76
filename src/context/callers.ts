import type { Config } from "../config/schema.ts";
import { FailureBound } from "../keys/failure-bound.ts";
import type { KeyTable } from "../keys/key-table.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { type Auth, createAuth } from "../server/auth.ts";
import type { Clock } from "../util/clock.ts";
import { bound } from "./bounds.ts";
import { AUTH_KEYS } from "./live-keys.ts";

export interface OpenAuthParts {
  readonly config: Config;
  readonly live: Pick<LiveConfig, "register">;
  readonly table: KeyTable;
  readonly clock: Clock;
}

/** Makes a thread's check of callers. */
export function openAuth({ config, live, table, clock }: OpenAuthParts): Auth {
  const failures = new FailureBound(bound(config.authFailuresPerMinute), clock);
  live.register({
    name: "wrong keys",
    keys: AUTH_KEYS,
    apply: (next) => failures.replace(bound(next.authFailuresPerMinute)),
  });
  return createAuth({
    keys: table,
    tokens: undefined,
    failures,
    hosts: [config.host.toLowerCase(), config.adminHost.toLowerCase()],
    hasAdminPort: config.adminPort !== undefined,
  });
}

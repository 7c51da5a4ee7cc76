import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import { KeyDesk } from "../keys/key-desk.ts";
import { KeyRing } from "../keys/key-ring.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { KeyLimits } from "../keys/limits.ts";
import { StoreFollower } from "../keys/store-follower.ts";
import type { Verify } from "../keys/token-cache.ts";
import { UsageBook } from "../keys/usage-book.ts";
import { UsageTally } from "../keys/usage-tally.ts";
import { type AuditEntry, AuditFile, type AuditLog, auditToLog } from "../observability/audit-log.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Auth } from "../server/auth.ts";
import { fixedKeys } from "./key-settings.ts";
import { registerKeys } from "./live-parts.ts";
import { openTokens } from "./open-tokens.ts";
import { openAuth, type ThreadCallersParts } from "./thread-callers.ts";
import { errorMessage } from "../util/error-message.ts";

/** What the control thread knows of callers, for all threads. */
export interface Callers {
  /** The gateway's keys. */
  readonly keys: KeyRing;
  /** Changes keys while the gateway runs. */
  readonly keyDesk: KeyDesk;
  /** The check of callers on this thread. */
  readonly auth: Auth;
  /** Verifies tokens for all threads. */
  readonly verifyToken: Verify;
  /** Counts the requests of this thread against the limits of their callers. */
  readonly limits: KeyLimits;
  /** Counts what each key has used on this thread. */
  readonly tally: UsageTally;
  /** Gets what keys have used on all threads. */
  readonly usage: UsageBook;
  /** Gets each change of the administration. */
  readonly audit: AuditLog;
}

export interface CallersParts extends Omit<ThreadCallersParts, "verify"> {
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Most keys of a gateway with a store. They take some 25 MB. */
const STORE_CAPACITY = 131_072;
/** Most bearers of tokens whose limits are counted. They take some 3 MB where limits are set. */
const MOST_BEARERS = 16_384;

/**
 * Puts the keys into memory that all threads share, and lets them follow changes of the configuration and of the store. `stack` closes it.
 * Rejects with too_many_keys, and with invalid_request where a file cannot be opened.
 */
export async function openCallers(parts: CallersParts, stack: AsyncDisposableStack): Promise<Callers> {
  const { config, live, logger, metrics, clock } = parts;
  const store = await openStore(config, stack);
  const capacity = store ? STORE_CAPACITY : 0;
  const bearers = config.jwtIssuer === undefined ? 0 : MOST_BEARERS;
  const keys = new KeyRing({ fixed: fixedKeys(config), capacity, bearers, threads: config.threads, clock });
  registerKeys({ live, keys, store });
  const audit = openAudit(config, logger);
  const follower = store && stack.use(await follow(store, keys, audit, parts));
  const verifyToken = await openTokens(parts, keys, stack);
  const usage = stack.use(new UsageBook({ store, metrics, namedKeys: config.metricsKeys, logger, clock }));
  return {
    keys,
    audit,
    usage,
    keyDesk: new KeyDesk({ ring: keys, store, onChange: (record) => follower?.noteOwn(record) }),
    verifyToken,
    auth: openAuth({ config, live, table: keys.table(), clock, verify: verifyToken }),
    limits: keys.limits(),
    tally: stack.use(new UsageTally((rows) => usage.add(rows), clock)),
  };
}

/** SQLite is loaded only where keys are kept in it. */
async function openStore({ keyStore }: Config, stack: AsyncDisposableStack): Promise<KeyStore | undefined> {
  if (keyStore === undefined) return undefined;
  const { SqliteKeyStore } = await import("../keys/sqlite-key-store.ts");
  return stack.use(SqliteKeyStore.open(keyStore));
}

function follow(
  store: KeyStore,
  ring: KeyRing,
  audit: AuditLog,
  { logger, clock }: CallersParts,
): Promise<StoreFollower> {
  return StoreFollower.start({
    store,
    ring,
    logger,
    clock,
    onForeignChange: ({ name, revokedAt }) => audit.write(foreignChange(name, revokedAt !== undefined)),
  });
}

/** Another process has written to the store: the command line, or a second gateway, which has an entry of its own. */
function foreignChange(name: string, isRevoked: boolean): AuditEntry {
  return {
    who: "key store",
    roles: [],
    from: "",
    method: isRevoked ? "DELETE" : "PUT",
    path: "/keys",
    status: 200,
    request_id: "",
    subject: name,
  };
}

function openAudit({ auditLog, auditLogMaxMb }: Config, logger: Logger): AuditLog {
  if (auditLog === undefined) return auditToLog(logger);
  try {
    return new AuditFile(auditLog, auditLogMaxMb * 1e6, logger);
  } catch (cause) {
    throw new GatewayError("invalid_request", `audit_log ${auditLog}: ${errorMessage(cause)}`, { cause });
  }
}

import type { Config } from "../config/schema.ts";
import type { RunningLogger } from "../observability/logger.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import type { RouterManager } from "../router/router-manager.ts";
import type { BreakerBoard } from "../worker/breaker-board.ts";
import type { HealthChecker } from "../worker/health-checker.ts";
import type { WorkerSources } from "../worker/sources/worker-sources.ts";
import { ConfiguredSources, configuredWorkers } from "./configured-sources.ts";
import {
  CALLER_KEYS,
  CARE_KEYS,
  DEPARTURE_KEYS,
  END_KEYS,
  LOG_KEYS,
  POLICY_KEYS,
  RANK_KEYS,
  REGISTRY_KEYS,
  SERVER_KEYS,
  WORKER_KEYS,
} from "./live-keys.ts";
import type { Registries } from "./registries.ts";
import { GatewayError } from "../errors/errors.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { RunningServer } from "../server/server.ts";
import { fixedKeys } from "./key-settings.ts";
import { serverSettings } from "./server-settings.ts";
import {
  boardSettings,
  departureSettings,
  healthSettings,
  policySettings,
  rankSettings,
  registrySettings,
} from "./settings.ts";

/** What a part needs in order to take changes of the configuration. */
interface Live {
  readonly live: Pick<LiveConfig, "register">;
}

export interface LiveRegistriesParts extends Live, Pick<Registries, "policyRegistry" | "workerRegistry"> {
  readonly logger: Pick<RunningLogger, "setLevel">;
  /** Whether this thread allocates the memory that policies share between threads. */
  readonly isOwner: boolean;
  /** Is called when some model has a new policy. */
  readonly onNewPolicies?: () => void;
}

/** Lets the log and the registries of one thread take changes of the configuration. */
export function registerRegistries(parts: LiveRegistriesParts): void {
  const { live, logger, policyRegistry, workerRegistry, isOwner, onNewPolicies } = parts;
  live.register({ name: "log", keys: LOG_KEYS, apply: (next) => logger.setLevel(next.logLevel) });
  live.register({
    name: "workers' registry",
    keys: REGISTRY_KEYS,
    apply: (next) => workerRegistry.replace(registrySettings(next)),
  });
  live.register({
    name: "policies",
    keys: POLICY_KEYS,
    check: (next) => policyRegistry.check(policySettings(next)),
    apply(next) {
      if (policyRegistry.replace(policySettings(next), isOwner)) onNewPolicies?.();
    },
  });
}

export interface ConfiguredWorkersParts extends Live {
  readonly config: Config;
  readonly routerManager: Pick<RouterManager, "checkWorker">;
  readonly workerSources: Pick<WorkerSources, "follow">;
}

/**
 * Adds the workers of the file, the environment and the command line, before the registry has any reader, and lets the sources follow
 * changes. Throws if one is refused.
 */
export function followConfiguredWorkers({ config, live, routerManager, workerSources }: ConfiguredWorkersParts): void {
  const sources = new ConfiguredSources(workerSources);
  const [refusal] = sources.want(config);
  if (refusal) throw refusal;
  live.register(
    {
      name: "workers",
      keys: WORKER_KEYS,
      check(next) {
        for (const spec of configuredWorkers(next)) routerManager.checkWorker(spec);
      },
      apply: (next) => void sources.want(next),
    },
    // New workers find the policies that the models have now.
    { isLast: true },
  );
}

export interface LiveCareParts extends Live {
  readonly healthChecker: Pick<HealthChecker, "replace">;
  readonly outcomes: Pick<BreakerBoard, "replace">;
  readonly routerManager: Pick<RouterManager, "replace">;
}

/** Lets the parts that watch over workers take changes of the configuration. */
export function registerCare({ live, healthChecker, outcomes, routerManager }: LiveCareParts): void {
  live.register({
    name: "health checks and breakers",
    keys: CARE_KEYS,
    apply(next) {
      healthChecker.replace(healthSettings(next));
      outcomes.replace(boardSettings(next));
    },
  });
  live.register({
    name: "departure and ranks of workers",
    keys: [...DEPARTURE_KEYS, ...RANK_KEYS],
    apply: (next) => routerManager.replace({ ...departureSettings(next), ranks: rankSettings(next) }),
  });
}

/** Lets the keys, which all threads share, take changes of the configuration. */
export function registerKeys({
  live,
  keys,
  store,
}: Live & {
  readonly keys: Pick<KeyRing, "check" | "replace" | "hasFixed">;
  readonly store: Pick<KeyStore, "find"> | undefined;
}): void {
  live.register({
    name: "keys",
    keys: CALLER_KEYS,
    async check(next) {
      const fixed = fixedKeys(next);
      keys.check(fixed);
      for (const { record } of fixed.keys) {
        // One that was there before was told then.
        if (!keys.hasFixed(record.name)) await refuseTaken(store, record.name);
      }
    },
    apply: (next) => keys.replace(fixedKeys(next)),
  });
}

/** Usage is counted by name: a new key of the configuration must not have that of a key of the store. Rejects with key_exists. */
async function refuseTaken(store: Pick<KeyStore, "find"> | undefined, name: string): Promise<void> {
  const taken = await store?.find(name);
  if (taken?.name !== name || taken.revokedAt !== undefined) return;
  throw new GatewayError(
    "key_exists",
    `the key store has a valid key named ${JSON.stringify(name)}: revoke it, or rename one`,
  );
}

/** Lets the server on the control thread take changes of the configuration. */
export function registerServer({ live, server }: Live & { readonly server: Pick<RunningServer, "replace"> }): void {
  live.register({
    name: "limits",
    keys: SERVER_KEYS,
    apply: (next) => server.replace(serverSettings(next)),
  });
  // They are read when the gateway ends.
  live.register({ name: "the end", keys: END_KEYS, apply: () => undefined });
}

import { PolicyMemory } from "../../src/policy/policy-memory.ts";
import { PolicyRegistry } from "../../src/policy/policy-registry.ts";
import { PolicyFollower } from "../../src/router/policy-follower.ts";
import { RouterManager, type RouterManagerDeps } from "../../src/router/router-manager.ts";
import { WorkerDrainer } from "../../src/worker/worker-drainer.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import type { Worker } from "../../src/worker/worker.ts";
import { DEFAULT_SPEC, type WorkerSpec } from "../../src/worker/worker-spec.ts";
import { type FleetSetup, setUpFleet } from "./fleet.ts";

export interface DoorSetup extends FleetSetup {
  readonly door: RouterManager;
  readonly policies: PolicyRegistry;
  readonly follower: PolicyFollower;
  /** Ids of the workers that were to be probed from now on, in order. */
  readonly watched: readonly string[];
  /** Ids of the workers that were said to be back, in order. */
  readonly returned: readonly string[];
  /** A worker that was ready has failed its checks. */
  fallSilent(worker: Worker): void;
  /** Every worker of the registry: url, source, and `draining` where it is. */
  rows(): string[];
}

/** The door through which workers come, with real registries, and health checks that a test plays. */
export function setUpDoor(deps: Partial<RouterManagerDeps> = {}): DoorSetup {
  const fleet = setUpFleet();
  const { registry, ledger, clock, logger } = fleet;
  const policies = new PolicyRegistry({ defaultPolicy: { policy: "round_robin", config: {} } });
  const follower = new PolicyFollower({ workers: registry, policies, memory: new PolicyMemory(), logger });
  const watched: string[] = [];
  const returned: string[] = [];
  const listeners = new Set<(worker: Worker) => void>();
  const door = new RouterManager({
    workers: registry,
    policies,
    logger,
    factory: new WorkerFactory({ ledger }),
    health: {
      watch: (id) => watched.push(id),
      mayBeBack: (id) => returned.push(id),
      onUnhealthy: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    drainer: new WorkerDrainer(clock),
    accepts: () => undefined,
    drainTimeoutMs: 60_000,
    removesUnhealthy: false,
    ranks: { isDpAware: false, dpSize: undefined },
    ...deps,
  });
  return {
    ...fleet,
    door,
    policies,
    follower,
    watched,
    returned,
    fallSilent: (worker) => {
      for (const listener of listeners) listener(worker);
    },
    rows: () =>
      registry.all().map(({ url, spec, status }) => `${url} ${spec.source}${status === "draining" ? " draining" : ""}`),
  };
}

/** A worker of which a test says what matters to it. */
export function spec(url: string, source: string, said: Partial<WorkerSpec> = {}): WorkerSpec {
  return { ...DEFAULT_SPEC, ...said, url, source };
}

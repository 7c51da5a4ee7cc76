import type { CompatSet } from "../observability/compat-table.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Fleet } from "../engine/fleet.ts";
import type { ModelPlans } from "../router/model-plans.ts";
import { choosesPairs, type LegPolicies } from "../router/pd/pair-policies.ts";
import { type ConfigAdmin, configRoutes } from "./api/config.ts";
import { decisionRoutes } from "./api/decisions.ts";
import { fleetRoutes } from "./api/fleet.ts";
import { FolderOfPaths } from "./api/folder-of-paths.ts";
import { type KeysDeps, keyRoutes } from "./api/keys.ts";
import { metricsRoute } from "./api/metrics.ts";
import { modelRoutes } from "./api/models.ts";
import { type DescribedPolicies, policyRoutes } from "./api/policies.ts";
import { engineProbeRoutes, stateProbeRoutes } from "./api/probes.ts";
import { type KeptSessions, sessionRoutes } from "./api/sessions.ts";
import { type TokenizerAdmin, tokenizerRoutes } from "./api/tokenizers.ts";
import { type WorkersDeps, workerRoutes } from "./api/workers.ts";
import type { Route } from "./route.ts";
import type { ServingUnits } from "./serving-units.ts";

/** Parts that the routes other than inference use. */
export interface ControlRoutesDeps extends Omit<WorkersDeps, "paths" | "maxBodyBytes">, Pick<KeysDeps, "keyDesk"> {
  readonly metrics: Metrics;
  readonly tokenizers: TokenizerAdmin;
  readonly policyRegistry: DescribedPolicies & KeptSessions & LegPolicies;
  readonly fleet: Fleet;
  /** The configuration in force, and changes of it. */
  readonly transactions: ConfigAdmin;
}

export interface ControlRoutesSettings {
  /** Largest body that a route reads, bytes. */
  readonly maxBodyBytes: number;
  /** Folder in which paths of bodies must lie; undefined: bodies may not name paths. */
  readonly tokenizerFolder: string | undefined;
  /** Choices of workers that each thread keeps; 0: none. */
  readonly decisionLogSize: number;
  /** Other programs whose names metrics have too. */
  readonly metricsCompat: readonly CompatSet[];
}

/** Values that change while the server runs. */
export interface ControlState {
  readonly isDraining: () => boolean;
  /** undefined until the units have started. */
  readonly units: () => Pick<ServingUnits, "snapshots" | "findDecisions"> | undefined;
  /** Which models answer for the names of the configuration; undefined where it has none. */
  readonly plans: () => ModelPlans | undefined;
  /** Whether a decode worker may prefill for itself. */
  readonly skipsPrefill: () => boolean;
}

/** Probes, models, metrics and administration. Those of `onMetricsPort` are among them: metrics, and the probes that say how this process is. */
export function createControlRoutes(
  deps: ControlRoutesDeps,
  { maxBodyBytes, tokenizerFolder, decisionLogSize, metricsCompat }: ControlRoutesSettings,
  { isDraining, units, plans, skipsPrefill }: ControlState,
): { readonly all: readonly Route[]; readonly onMetricsPort: readonly Route[] } {
  const metrics = metricsRoute(deps.metrics, metricsCompat, async () => (await units()?.snapshots()) ?? []);
  const paths = new FolderOfPaths(tokenizerFolder);
  const { workerRegistry, policyRegistry } = deps;
  const stateProbes = stateProbeRoutes({
    workerRegistry,
    isDraining,
    skipsPrefill: (model) => skipsPrefill() && choosesPairs(policyRegistry, model),
  });
  const all = [
    ...stateProbes,
    ...engineProbeRoutes(deps.fleet),
    metrics,
    ...modelRoutes({ ...deps, plans }),
    ...workerRoutes({ ...deps, paths, maxBodyBytes }),
    ...keyRoutes({ keyDesk: deps.keyDesk, maxBodyBytes }),
    ...policyRoutes(deps.policyRegistry),
    ...sessionRoutes(deps.policyRegistry),
    ...decisionRoutes({
      logSize: decisionLogSize,
      find: async (query) => (await units()?.findDecisions(query)) ?? { tries: [], silentThreads: [] },
    }),
    ...configRoutes(deps.transactions),
    ...fleetRoutes(deps.fleet),
    ...tokenizerRoutes({ tokenizers: deps.tokenizers, paths, maxBodyBytes }),
  ];
  return { all, onMetricsPort: [...stateProbes, metrics] };
}

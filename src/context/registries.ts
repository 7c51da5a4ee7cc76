import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { PolicyWatch } from "../policy/guarded-policy.ts";
import type { PolicyMemory } from "../policy/policy-memory.ts";
import type { SignalOwner } from "../policy/kept-policy.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { type SignalNews, SIGNALS } from "../policy/signal-counts.ts";
import { PolicyFollower } from "../router/policy-follower.ts";
import { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { Clock } from "../util/clock.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import { loadPolicyModule } from "./load-policy-module.ts";
import { guardModule } from "./policy-module.ts";
import { createShadowEvents } from "./shadow-events.ts";
import { policySettings, registrySettings } from "./settings.ts";

/** The registries of workers, load, policies and tokenizers: the original on the control thread, a replica on a serving thread. */
export interface Registries {
  readonly ledger: LoadLedger;
  readonly workerRegistry: WorkerRegistry;
  readonly policyRegistry: PolicyRegistry;
  /** Memory that the policies of all threads share. */
  readonly policyMemory: PolicyMemory;
  /** Makes a model's policies with its first worker, and passes each change on to its listeners. */
  readonly policyFollower: PolicyFollower;
  /** Tokenizers of this thread, by model. */
  readonly tokenizers: TokenizerRegistry;
}

export interface RegistriesParts extends Pick<Registries, "ledger" | "policyMemory"> {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Counts what shadow policies choose. */
  readonly metrics: Metrics;
  /** Number of the serving thread, from 0; undefined on the control thread. */
  readonly thread?: number | undefined;
  /** Gets the running methods of the operator's policy module, whose code has no bound. */
  readonly watch?: PolicyWatch;
  /** Registries that a test passes. */
  readonly given?: Partial<Pick<Registries, "workerRegistry" | "policyRegistry" | "tokenizers">>;
}

/** Registries without workers; `stack` closes them. Throws GatewayError if a policy is unknown or a policy module does not load. */
export async function openRegistries(parts: RegistriesParts, stack: AsyncDisposableStack): Promise<Registries> {
  const { config, ledger, policyMemory, logger, given = {} } = parts;
  const workerRegistry = given.workerRegistry ?? new WorkerRegistry({ ledger, ...registrySettings(config) });
  const policyRegistry = given.policyRegistry ?? (await createPolicyRegistry(parts));
  const policyFollower = stack.use(
    new PolicyFollower({ workers: workerRegistry, policies: policyRegistry, memory: policyMemory, logger }),
  );
  const tokenizers = given.tokenizers ?? stack.use(new TokenizerRegistry());
  return { ledger, workerRegistry, policyRegistry, policyMemory, policyFollower, tokenizers };
}

async function createPolicyRegistry({
  config,
  metrics,
  policyMemory,
  logger,
  clock,
  thread,
  watch,
}: RegistriesParts): Promise<PolicyRegistry> {
  const module = config.policyModule === undefined ? undefined : await loadPolicyModule(config.policyModule);
  // The clock of a thread begins with the thread.
  const { timeOrigin } = performance;
  return new PolicyRegistry({
    ...policySettings(config),
    memory: policyMemory,
    now: () => timeOrigin + clock.now(),
    ...threadOf(config, thread),
    onSignal: (of, news) => tellSignal(logger, of, news),
    custom: module ? [guardModule(module, { logger, clock, watch })] : [],
    shadowEvents: createShadowEvents(metrics, logger, clock),
  });
}

/** A line when a policy begins to lack something that it needs to choose well, and one when it is there again. */
function tellSignal(
  logger: Logger,
  { model, role, policy, without }: SignalOwner,
  { signal, isMissing, share }: SignalNews,
): void {
  const fields = { model, role, policy, signal, without_share: Number(share.toFixed(2)) };
  const { what, isVital } = SIGNALS[signal];
  if (isMissing) {
    const level = isVital ? "warn" : "info";
    logger[level]({ ...fields, needs: what, instead: without }, "most requests lack what the policy needs");
  } else logger.info(fields, "what the policy needs is there again");
}

/** A single thread does everything. Otherwise the control thread has instances of the policies too, and comes after those that serve. */
function threadOf(
  { threads }: Config,
  thread: number | undefined,
): { readonly thread: number; readonly threads: number } {
  return threads === 1 ? { thread: 0, threads } : { thread: thread ?? threads, threads: threads + 1 };
}

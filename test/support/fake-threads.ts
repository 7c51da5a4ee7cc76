import { createVia } from "../../src/transport/via.ts";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { GatewayError } from "../../src/errors/errors.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { PolicyMemory } from "../../src/policy/policy-memory.ts";
import { PolicyRegistry } from "../../src/policy/policy-registry.ts";
import { PolicyFollower } from "../../src/router/policy-follower.ts";
import { LocalGate } from "../../src/server/gate.ts";
import type { FromThread, ToThread } from "../../src/threads/messages.ts";
import type { Spawn, ThreadEvents } from "../../src/threads/thread-handle.ts";
import { ThreadPool, type ThreadPoolDeps } from "../../src/threads/thread-pool.ts";
import { LiveConfig } from "../../src/reload/live-config.ts";
import { ringOf } from "./keys.ts";
import { ManualClock } from "./manual-clock.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";
import { PUBLIC_WORKERS } from "../../src/transport/tls/worker-tls.ts";

/** A thread that a test plays: what it was told, and what it says. */
export interface FakeThread {
  readonly told: readonly ToThread[];
  /** It was told to end. */
  readonly isTerminated: boolean;
  /** Closes by itself when it is told to end; otherwise it hangs in native code. */
  closesWhenTold: boolean;
  say(message: FromThread): void;
  fail(reason: string): void;
  close(): void;
  /** The last message of this kind that it was told. */
  last<T extends ToThread["type"]>(type: T): Extract<ToThread, { type: T }> | undefined;
}

export interface FakeThreads {
  /** All that were ever started, in order. */
  readonly all: readonly FakeThread[];
  readonly spawn: Spawn;
  /** The latest with this number. */
  latest(number: number): FakeThread;
}

export function fakeThreads(): FakeThreads {
  const all: FakeThread[] = [];
  const numberOf = (thread: FakeThread): number | undefined => thread.last("start")?.thread;
  return {
    all,
    spawn: (events) => {
      const { thread, port } = fakeThread(events);
      all.push(thread);
      return port;
    },
    latest(number) {
      const found = all.findLast((thread) => numberOf(thread) === number);
      if (!found) throw new Error(`there is no thread ${number}`);
      return found;
    },
  };
}

function fakeThread(events: ThreadEvents): { readonly thread: FakeThread; readonly port: ReturnType<Spawn> } {
  const told: ToThread[] = [];
  let isTerminated = false;
  const thread: FakeThread = {
    told,
    get isTerminated() {
      return isTerminated;
    },
    closesWhenTold: true,
    say: (message) => events.onMessage(message),
    fail: (reason) => events.onError(reason),
    close: () => events.onClosed(),
    last: (type) => told.findLast((message): message is never => message.type === type),
  };
  const port = {
    post: (message: ToThread) => {
      told.push(message);
    },
    terminate: () => {
      isTerminated = true;
      if (thread.closesWhenTold) thread.close();
    },
  };
  return { thread, port };
}

export interface PoolSetup {
  readonly threads: FakeThreads;
  readonly clock: ManualClock;
  readonly ledger: LoadLedger;
  readonly registry: WorkerRegistry;
  readonly gate: LocalGate;
  readonly metrics: Metrics;
  /** Lines of the log, with their level. */
  readonly lines: readonly (readonly [level: string, fields: object, message: string | undefined])[];
  readonly deps: ThreadPoolDeps;
  readonly live: LiveConfig;
  /** Registers a worker, which is a change that all threads are told of. */
  change(modelId?: string): void;
  /** A pool whose threads all listen. */
  start(): Promise<ThreadPool>;
}

export function setUpPool(options: Partial<Config> = {}): PoolSetup {
  const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
  const config: Config = { ...defaults, port: 0, threads: 2, maxConcurrentRequests: 4, queueSize: 2, ...options };
  const clock = new ManualClock();
  const ledger = new LoadLedger({ threads: config.threads });
  const registry = new WorkerRegistry({ ledger });
  const factory = new WorkerFactory({ ledger });
  const metrics = new Metrics();
  const threads = fakeThreads();
  const lines: [level: string, fields: object, message: string | undefined][] = [];
  const log =
    (level: string) =>
    (fields: object, message?: string): void => {
      lines.push([level, fields, message]);
    };
  const gate = new LocalGate(
    {
      maxConcurrent: config.maxConcurrentRequests,
      maxConcurrentOf: () => Number.POSITIVE_INFINITY,
      queueSize: config.queueSize,
      queueTimeoutMs: 60_000,
    },
    clock,
  );
  const logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const policyMemory = new PolicyMemory();
  const policies = new PolicyRegistry({
    defaultPolicy: { policy: config.defaultPolicy, config: {} },
    memory: policyMemory,
  });
  const live = new LiveConfig(config);
  const deps: ThreadPoolDeps = {
    config,
    live,
    logger,
    metrics,
    ledger,
    via: createVia(),
    verifyToken: () => Promise.reject(new GatewayError("invalid_api_key", "no tokens are taken here")),
    usage: { add: () => undefined },
    keys: ringOf(undefined, { clock, threads: config.threads }),
    workerRegistry: registry,
    policyMemory,
    policyFollower: new PolicyFollower({ workers: registry, policies, memory: policyMemory, logger }),
    tokenizers: { onChange: () => () => undefined, named: () => [] },
    outcomes: { report: () => undefined },
    gate,
    modelFinder: { find: () => Promise.resolve(), wanted: () => undefined },
    control: {
      answer: () => Promise.reject(new GatewayError("internal_error", "no control route is played here")),
    },
    routes: [],
    certificates: { current: { main: undefined, workers: PUBLIC_WORKERS } },
    writeLog: () => undefined,
    clock,
    spawn: threads.spawn,
  };
  let workers = 0;
  return {
    threads,
    clock,
    ledger,
    registry,
    gate,
    metrics,
    lines,
    deps,
    live,
    change(modelId) {
      workers += 1;
      registry.register(factory.createFromUrl(`http://w${workers}:1`, { modelId }));
    },
    async start() {
      const starting = ThreadPool.start(deps);
      for (let number = 0; number < config.threads; number += 1) {
        threads.latest(number).say({ type: "listening", port: 4000 });
        await turn();
      }
      return starting;
    },
  };
}

/** Lets what was promised come about. */
export async function turn(): Promise<void> {
  for (let step = 0; step < 20; step += 1) await Promise.resolve();
}

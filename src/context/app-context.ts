import type { Config } from "../config/schema.ts";
import { Fleet } from "../engine/fleet.ts";
import { createGrpcProber } from "../engine/grpc-prober.ts";
import { createHttpProber } from "../engine/http-prober.ts";
import { createProbeClient } from "../engine/probe-client.ts";
import { WorkerClient } from "../engine/worker-client.ts";
import { createLogger, type Logger, type RunningLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import type { Recording } from "../observability/recording.ts";
import type { SpanExporter } from "../observability/traces/span-exporter.ts";
import type { Tracer } from "../observability/traces/tracer.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { CacheTrusts } from "../router/cache-trusts.ts";
import { RouterManager } from "../router/router-manager.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import { createVia } from "../transport/via.ts";
import type { Transport } from "../transport/upstream.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import type { OutcomeSink } from "../worker/attempt-outcome.ts";
import { BreakerBoard } from "../worker/breaker-board.ts";
import { HealthChecker } from "../worker/health-checker.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import type { KvEvents } from "../kv-events/kv-events.ts";
import { FleetModelFinder, type ModelFinder } from "../worker/model-finder.ts";
import { Reconciler } from "../worker/sources/reconciler.ts";
import { WorkerSources } from "../worker/sources/worker-sources.ts";
import { WorkerDrainer } from "../worker/worker-drainer.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import { Certificates } from "./certificates.ts";
import { openRecording } from "./open-recording.ts";
import { openTraces, tracerOf } from "./open-traces.ts";
import { exposeKvEvents } from "./kv-event-metrics.ts";
import { exposeLoads } from "./load-metrics.ts";
import { openKvEvents } from "./open-kv-events.ts";
import { openRegistries, type Registries } from "./registries.ts";
import {
  acceptedTypes,
  boardSettings,
  departureSettings,
  grpcLimits,
  healthSettings,
  loadIntervalMs,
  rankSettings,
} from "./settings.ts";
import { type Callers, openCallers } from "./callers.ts";
import { followNames } from "./dns-discovery.ts";
import { followPods } from "./follow-pods.ts";
import { followConfiguredWorkers, registerCare, registerRegistries } from "./live-parts.ts";
import { LiveConfig } from "../reload/live-config.ts";
import { exposeState } from "./state-metrics.ts";
import { startTokenizer } from "./start-tokenizer.ts";
import { followWorkersFile } from "./workers-file.ts";
import { openWorkerWires } from "./worker-wires.ts";

/**
 * Everything on the control thread that lives as long as the gateway: the registries, and the parts that watch over their workers.
 * Each part of the program gets only the parts that it needs; only the server gets the whole context, by shape.
 */
export interface AppContext extends AsyncDisposable, Registries, Callers {
  /** The configuration of the start. */
  readonly config: Config;
  /** The configuration in force, and the parts that take changes of it. */
  readonly live: LiveConfig;
  /** The clock of all waits of the context. */
  readonly clock: Clock;
  /** With `enable_grpc`, the tokenizer of `tokenizer_path`. It is loaded before anything listens. */
  readonly tokenizer: Tokenizer | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Writes log lines of other threads; each ends with a line break. */
  readonly writeLog: (text: string) => void;
  /** Sockets for the gateway's own questions to workers. Requests have other sockets, so probes never wait behind them. */
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  /** The gateway's entry in `Via`: `transport/via.ts`. */
  readonly via: string;
  /** Gets the outcomes of attempts on all threads. */
  readonly outcomes: OutcomeSink;
  readonly healthChecker: HealthChecker;
  /** Looks for models that no known worker serves, for all threads. */
  readonly modelFinder: ModelFinder;
  readonly routerManager: RouterManager;
  /** The sources of workers, without the API. */
  readonly workerSources: WorkerSources;
  readonly fleet: Fleet;
  /** Follows what the workers' KV caches hold, by their own events. */
  readonly kvEvents: Pick<KvEvents, "view" | "views">;
  /** How far what is known of each worker's cache has been right. */
  readonly cacheTrusts: Pick<CacheTrusts, "of">;
  /** The certificates of the gateway, and their next ones. */
  readonly certificates: Pick<Certificates, "current" | "onChange" | "look">;
  /** Writes the traffic of all threads to a file; undefined without `record`. */
  readonly recording: Recording | undefined;
  /** Sends the spans of all threads; undefined where no request is traced. */
  readonly spans: SpanExporter | undefined;
  readonly tracer: Tracer | undefined;
}

/** Longest wait of a request for an unknown model for the workers' listings, ms. */
const LOOK_FOR_MODEL_MS = 2000;

/** Parts that a test passes. The test closes them itself. */
export type AppContextOverrides = Partial<
  Omit<
    AppContext,
    | keyof AsyncDisposable
    | "config"
    | "live"
    | keyof Callers
    | "tokenizer"
    | "policyMemory"
    | "policyFollower"
    | "outcomes"
    | "cacheTrusts"
    | "modelFinder"
    | "workerSources"
    | "kvEvents"
    | "writeLog"
    | "recording"
    | "spans"
    | "tracer"
    | "certificates"
  >
>;

/**
 * Makes everything that lives as long as the gateway, in this order: registries, care for workers, the door through which workers
 * come, and the workers that file and command line name. Routers are made afterwards, by the serving unit of each thread, from the
 * registries of this context or from replicas of them.
 *
 * Disposing the context closes everything in reverse. Where a step throws, what the steps before it opened is closed before this
 * rejects. Throws GatewayError where the configuration cannot be carried out (an unknown policy, a policy module or a tokenizer that does
 * not load, a worker that is not taken).
 */
export async function createAppContext(config: Config, overrides: AppContextOverrides = {}): Promise<AppContext> {
  await using stack = new AsyncDisposableStack();
  const step: Step = { config, overrides, stack };
  const base = openBase(step);
  const certificates = stack.use(await Certificates.open(base));
  const callers = await openCallers(base, stack);
  const ledger = overrides.ledger ?? new LoadLedger({ threads: config.threads === 1 ? 0 : config.threads });
  const registries = await openRegistries(
    { ...base, ledger, policyMemory: new PolicyMemory(), given: overrides },
    stack,
  );
  const wires = openWires(step, base, registries, certificates);
  const care = openCare(step, { ...base, ...registries, ...wires });
  registerRegistries({
    ...base,
    ...registries,
    isOwner: true,
    onNewPolicies: () => care.kvEvents.tellAgain(),
    logger: base,
  });
  const door = openDoor(step, { ...base, ...registries, ...care });
  followConfiguredWorkers({ ...base, ...door });
  followNames({ ...base, ...door });
  followWorkersFile({ ...base, ...door });
  followPods({ ...base, ...door });
  registerCare({ ...base, ...care, ...door });
  stack.defer(exposeState({ ...base, ...registries, ...care, ...door }));
  exposeKvEvents({ ...base, ...registries, ...care });
  stack.use(exposeLoads({ ...base, ...registries, ...care, everyMs: loadIntervalMs(config) }));
  certificates.expose(base.metrics);
  const tokenizer = await startTokenizer(config, registries.tokenizers);
  const recording = await openRecording(base, stack);
  const spans = openTraces(base, stack);
  const owned = stack.move();
  const { setLevel: _, ...told } = base;
  return {
    ...told,
    ...callers,
    ...registries,
    ...wires,
    ...care,
    ...door,
    tokenizer,
    recording,
    spans,
    tracer: tracerOf(config, spans),
    certificates,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The input of each step. A step puts what it opens on the stack before it does anything that may throw. */
interface Step {
  readonly config: Config;
  readonly overrides: AppContextOverrides;
  readonly stack: AsyncDisposableStack;
}

type Base = Pick<AppContext, "config" | "live" | "clock" | "logger" | "writeLog" | "metrics" | "via"> &
  Pick<RunningLogger, "setLevel">;
type Wires = Pick<AppContext, "transport" | "grpc">;
type Care = Pick<AppContext, "healthChecker" | "modelFinder" | "fleet" | "cacheTrusts"> & {
  readonly outcomes: BreakerBoard;
  readonly kvEvents: KvEvents;
};
type Door = Pick<AppContext, "routerManager" | "workerSources">;

/** Time, log and metrics. */
function openBase({ config, overrides, stack }: Step): Base {
  const ownLogger = stack.use(createLogger(config.logLevel, config.logFormat));
  return {
    config,
    live: new LiveConfig(config),
    clock: overrides.clock ?? systemClock,
    logger: overrides.logger ?? ownLogger,
    writeLog: (text) => ownLogger.writeLines(text),
    setLevel: (level) => ownLogger.setLevel(level),
    metrics: overrides.metrics ?? new Metrics(),
    via: overrides.via ?? createVia(),
  };
}

/** Opens the gateway's own connections to workers. They close when their worker leaves. */
function openWires(
  { config, overrides, stack }: Step,
  { clock }: Base,
  { workerRegistry }: Registries,
  certificates: Certificates,
): Wires {
  const wires = openWorkerWires(
    {
      clock,
      workerRegistry,
      maxPerWorker: Number.POSITIVE_INFINITY,
      grpcLimits: grpcLimits(config),
      tls: certificates.current.workers,
      given: overrides,
    },
    stack,
  );
  stack.defer(certificates.onChange(({ workers }) => wires.replaceCertificates(workers)));
  return { transport: wires.transport, grpc: wires.grpc };
}

/** Opens the parts that watch over the workers: health checks, breakers, questions to all of them. */
function openCare({ config, overrides, stack }: Step, parts: Base & Registries & Wires): Care {
  const { clock, logger, metrics, ledger, workerRegistry: registry, transport, grpc } = parts;
  const health = healthSettings(config);
  const { timeoutMs } = health.defaults;
  const client = new WorkerClient({ transport, grpc, clock, via: parts.via });
  const probers = { http: createHttpProber(createProbeClient(client)), grpc: createGrpcProber(client) };
  const healthChecker =
    overrides.healthChecker ?? stack.use(new HealthChecker({ registry, clock, logger, probers, ...health }));
  const outcomes = stack.use(
    new BreakerBoard({
      registry,
      ledger,
      clock,
      logger,
      metrics,
      settings: boardSettings(config),
      recheck: (id, what) => healthChecker.probeNow(id, what),
    }),
  );
  const cacheTrusts = stack.use(new CacheTrusts({ workers: registry, policies: parts.policyRegistry, clock, logger }));
  const askListings = (): Promise<void> => healthChecker.askListings(LOOK_FOR_MODEL_MS);
  return {
    healthChecker,
    outcomes,
    cacheTrusts,
    modelFinder: new FleetModelFinder({ clock, registry, askListings, probeSoon: (id) => healthChecker.probeSoon(id) }),
    fleet: overrides.fleet ?? new Fleet({ workers: registry, client, timeoutMs }),
    kvEvents: stack.use(openKvEvents({ ...parts, config })),
  };
}

/** Opens RouterManager, through which workers are added and removed, and the sources that use it. */
function openDoor({ config, overrides, stack }: Step, parts: Base & Registries & Care): Door {
  const { clock, logger, ledger, workerRegistry, policyRegistry, healthChecker } = parts;
  const drainer = stack.use(new WorkerDrainer(clock));
  const routerManager =
    overrides.routerManager ??
    stack.use(
      new RouterManager({
        workers: workerRegistry,
        policies: policyRegistry,
        factory: new WorkerFactory({ ledger }),
        health: healthChecker,
        drainer,
        accepts: acceptedTypes(config),
        ranks: rankSettings(config),
        logger,
        ...departureSettings(config),
      }),
    );
  const reconciler = new Reconciler({ registry: workerRegistry, door: routerManager, logger });
  return { routerManager, workerSources: stack.use(new WorkerSources({ reconciler, clock, logger })) };
}

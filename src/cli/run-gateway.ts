import { readConfigTextAgain } from "../config/config-file.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { type AppContext, createAppContext } from "../context/app-context.ts";
import { registerServer } from "../context/live-parts.ts";
import { FileWatch } from "../util/file-watch.ts";
import { systemClock } from "../util/clock.ts";
import { ConfigTransactions, type ConfigTransactionsDeps } from "../reload/transactions.ts";
import { drainTimes, serverSettings } from "../context/server-settings.ts";
import { startLocalUnit } from "../context/local-unit.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import type { StartServingUnits } from "../server/serving-units.ts";
import { untilLeft } from "../util/until-left.ts";
import { startError } from "./start-error.ts";

/** A running gateway, with its parts for the end. */
export interface RunningGateway {
  readonly context: AppContext;
  readonly server: RunningServer;
  readonly transactions: ConfigTransactions;
  /** Looks at the files of the configuration; undefined where it does not. */
  readonly watch: Disposable | undefined;
}

/** Reads the configuration with a text in place of the file that was given. Throws ConfigError. */
type Load = ConfigTransactionsDeps["load"];

/**
 * Makes the context and listens. If a later step fails, everything is closed again. `load` reads later configurations. Throws
 * ConfigError.
 */
export async function startGateway(loaded: LoadedConfig, load: Load): Promise<RunningGateway> {
  const { config, document } = loaded;
  try {
    await using stack = new AsyncDisposableStack();
    const context = stack.use(await createAppContext(config));
    if (config.reusePort) await workersAsked(context);
    const transactions = new ConfigTransactions(loaded, {
      ...context,
      load,
      readFile: () => document && { name: document.name, text: readConfigTextAgain(document.name) },
      wallNow: Date.now,
    });
    const server = await startServer({ ...context, transactions, settings: serverSettings(config) }, unitsOf(context));
    registerServer({ ...context, server });
    stack.move();
    const watch = config.watchConfig && document ? watchFiles(document.name, transactions) : undefined;
    return { context, server, transactions, watch };
  } catch (error) {
    throw startError(error, config);
  }
}

function watchFiles(file: string, transactions: ConfigTransactions): FileWatch {
  return new FileWatch({
    clock: systemClock,
    files: () => [file, ...transactions.namedFiles],
    onChange: () => transactions.change({ document: "file", via: "file", by: `the watch of ${file}` }),
  });
}

/** How long a gateway that joins a shared port waits for its workers, ms. */
const WORKERS_MS = 10_000;

/**
 * Waits until the workers were asked. On a shared port the kernel sends clients at once, so the workers that are well must be known before. One
 * that cannot be reached is not waited for.
 */
export async function workersAsked({ workerRegistry, healthChecker, workerSources }: AppContext): Promise<void> {
  const signal = AbortSignal.timeout(WORKERS_MS);
  await untilLeft(workerSources.heard(), signal).catch(() => undefined);
  await Promise.allSettled(workerRegistry.all().map(({ id }) => healthChecker.waitUntilProbed(id, signal)));
}

/** One serving unit on this thread, or one on each of several others. */
function unitsOf(context: AppContext): StartServingUnits {
  const { config } = context;
  if (config.threads === 1) return async (controlSide) => startLocalUnit(context, controlSide);
  return async (controlSide) => {
    if (!config.reusePort) checkFree(config);
    const [{ ThreadPool }, { spawnWorker }] = await Promise.all([
      import("../threads/thread-pool.ts"),
      import("../threads/spawn-worker.ts"),
    ]);
    return ThreadPool.start({ ...context, ...controlSide, spawn: spawnWorker });
  };
}

/** Checks that the port is free, because threads would share it with another gateway. Throws Bun's error if it is in use. */
function checkFree({ host, port }: Config): void {
  if (port === 0) return;
  Bun.listen({ hostname: host, port, socket: { data: () => undefined } }).stop(true);
}

/** The parts of a gateway that its end needs. */
export interface EndingGateway {
  readonly context: Pick<AppContext, "logger" | typeof Symbol.asyncDispose> & {
    readonly live: Pick<AppContext["live"], "config">;
  };
  readonly server: Pick<RunningServer, "drain" | "stop">;
  readonly watch: Disposable | undefined;
}

/** Runs until the signal, then drains, closes everything and ends the process with `exit`. */
export async function runUntil(
  signal: Promise<NodeJS.Signals>,
  gateway: EndingGateway,
  exit: (code: number) => void = (code) => process.exit(code),
): Promise<void> {
  const { context, server, watch } = gateway;
  const name = await signal;
  watch?.[Symbol.dispose]();
  context.logger.info({ signal: name }, "draining");
  await server.drain(drainTimes(context.live.config, name));
  await server.stop();
  context.logger.info({}, "stopped");
  await context[Symbol.asyncDispose]();
  // Unread log lines would keep the process alive.
  exit(0);
}

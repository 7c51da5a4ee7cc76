import { ConfigError } from "../config/config-error.ts";
import type { Config } from "../config/schema.ts";
import { type AppContext, createAppContext } from "../context/app-context.ts";
import { addressError } from "./address-error.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import { drainTimes, serverSettings } from "../context/server-settings.ts";
import { startLocalUnit } from "../context/local-unit.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import type { StartServingUnits } from "../server/serving-units.ts";
import { spawnWorker } from "../threads/spawn-worker.ts";
import { untilLeft } from "../util/until-left.ts";
import { ThreadPool } from "../threads/thread-pool.ts";

/** A gateway that runs, and how it ends. */
export interface RunningGateway {
  readonly context: AppContext;
  readonly server: RunningServer;
}

/** Builds the context and listens; what was made is closed again where a later step fails. Throws ConfigError. */
export async function startGateway(config: Config): Promise<RunningGateway> {
  const context = await createAppContext(config).catch((error: unknown) => {
    throw error instanceof GatewayError ? new ConfigError("config", error.message) : error;
  });
  try {
    if (config.reusePort) await workersAsked(context);
    return { context, server: await startServer({ ...context, settings: serverSettings(config) }, unitsOf(context)) };
  } catch (error) {
    await context[Symbol.asyncDispose]();
    throw addressError(error, config);
  }
}

/** As long as a gateway that joins a shared port waits for its workers, ms. */
const WORKERS_MS = 10_000;

/** From its first moment on a shared port the kernel sends it a part of the clients: its workers must be known then. */
export async function workersAsked({ workerRegistry, healthChecker, workerSources }: AppContext): Promise<void> {
  const signal = AbortSignal.timeout(WORKERS_MS);
  await untilLeft(workerSources.heard(), signal).catch(() => undefined);
  await Promise.allSettled(workerRegistry.all().map(({ id }) => healthChecker.waitUntilSettled(id, signal)));
}

/** One serving unit on this thread, or one on each of several others. */
function unitsOf(context: AppContext): StartServingUnits {
  const { config } = context;
  if (config.threads === 1) return async (controlSide) => startLocalUnit(context, controlSide);
  return async (controlSide) => {
    if (!config.reusePort) checkFree(config);
    return ThreadPool.start({ ...context, ...controlSide, spawn: spawnWorker });
  };
}

/** Threads share the port, and would share it with another gateway as well. Throws what Bun throws where it is taken. */
function checkFree({ host, port }: Config): void {
  if (port === 0) return;
  Bun.listen({ hostname: host, port, socket: { data: () => undefined } }).stop(true);
}

/**
 * Resolves with the first SIGTERM, SIGQUIT (what nginx is drained with) or SIGINT; the second ends the process at once. Called before anything says that the
 * gateway runs, so that whoever reads that may signal.
 */
export function firstSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    if (signals > 1) process.exit(1);
    resolve(signal);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGQUIT", onSignal);
  process.on("SIGINT", onSignal);
  return promise;
}

/**
 * Signals that mean something to other servers (read the configuration anew, open the log anew) would end the process at
 * once. They do nothing, and say so once there is a logger: a configuration that is half in force would be a state that no
 * start can have.
 */
export function surviveSignals(logger: () => Logger | undefined): void {
  process.on("SIGHUP", () => logger()?.warn({ signal: "SIGHUP" }, NO_RELOAD));
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
    process.on(signal, () => logger()?.warn({ signal }, "this signal does nothing"));
  }
}

const NO_RELOAD =
  "nothing is reloaded: change workers over the API; for other options start a new gateway on the same port (both with reuse_port), then send this one SIGTERM";

/** Runs until the signal, then drains, closes everything and ends the process. */
export async function runUntil(signal: Promise<NodeJS.Signals>, gateway: RunningGateway): Promise<never> {
  const { context, server } = gateway;
  const name = await signal;
  context.logger.info({ signal: name }, "draining");
  await server.drain(drainTimes(context.config, name));
  await server.stop();
  context.logger.info({}, "stopped");
  await context[Symbol.asyncDispose]();
  // Lines that nobody reads would keep the process.
  process.exit(0);
}

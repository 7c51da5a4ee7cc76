import { ConfigError } from "../config/config-error.ts";
import type { Config } from "../config/schema.ts";
import { type AppContext, createAppContext } from "../context/app-context.ts";
import { GatewayError } from "../errors/errors.ts";
import { type RunningServer, startServer } from "../server/server.ts";

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
    return { context, server: startServer(context) };
  } catch (error) {
    await context[Symbol.asyncDispose]();
    throw addressError(error, config);
  }
}

/**
 * Resolves with the first SIGTERM or SIGINT; the second ends the process at once. Called before anything says that the
 * gateway runs, so that whoever reads that may signal.
 */
export function firstSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = (): void => {
    signals += 1;
    if (signals > 1) process.exit(1);
    resolve();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return promise;
}

/** Runs until the signal, then drains, closes everything and ends the process. */
export async function runUntil(signal: Promise<void>, { context, server }: RunningGateway): Promise<never> {
  await signal;
  context.logger.info({}, "draining");
  await server.drain(context.config.shutdownGracePeriodSecs * 1000);
  await server.stop();
  context.logger.info({}, "stopped");
  await context[Symbol.asyncDispose]();
  // Lines that nobody reads would keep the process.
  process.exit(0);
}

function addressError(error: unknown, config: Config): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code !== "EADDRINUSE" && code !== "EACCES" && code !== "EADDRNOTAVAIL") return error;
  const why = code === "EADDRINUSE" ? "is in use" : "cannot be listened on";
  const main = { flag: "--port", address: `${config.host}:${config.port}` };
  const metrics = { flag: "--prometheus-port", address: `${config.prometheusHost}:${config.prometheusPort}` };
  // Bun 1.4.5 names the port in the message and nowhere else.
  const isOf = (port: number): boolean => new RegExp(`port ${port}\\b`, "i").test(String(error));
  const suspects = [...(isOf(config.port) ? [main] : []), ...(isOf(config.prometheusPort) ? [metrics] : [])];
  const named = suspects.length > 0 ? suspects : [main, ...(config.prometheusPort === 0 ? [] : [metrics])];
  return new ConfigError(
    named.map(({ flag }) => flag).join(", "),
    `${named.map(({ address }) => address).join(" or ")} ${why} (${code})`,
  );
}

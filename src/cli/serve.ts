import type { Logger } from "../observability/logger.ts";
import { announce } from "./banner.ts";
import { loadGiven } from "./load-given.ts";
import type { ServeArguments } from "./read-words.ts";
import { firstSignal, runUntil, startGateway, surviveSignals } from "./run-gateway.ts";
import { VERSION } from "../util/version.ts";

/** `pointsman`: the gateway. Throws ConfigError before anything has been started. */
export async function serve(given: ServeArguments): Promise<void> {
  const { config, notices } = loadGiven(given);
  const signal = firstSignal();
  let logger: Logger | undefined;
  surviveSignals(() => logger);
  const gateway = await startGateway(config);
  logger = gateway.context.logger;
  announce({ version: VERSION, config, server: gateway.server, workers: config.initialWorkers.length });
  for (const notice of notices) gateway.context.logger.warn({}, notice);
  await runUntil(signal, gateway);
}

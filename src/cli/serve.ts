import type { Logger } from "../observability/logger.ts";
import { banner } from "./banner.ts";
import { loadFromArguments } from "./load-from-arguments.ts";
import type { ServeArguments } from "./read-words.ts";
import { runUntil, startGateway } from "./run-gateway.ts";
import { firstSignal, surviveSignals } from "./signals.ts";
import { VERSION } from "../util/version.ts";

/** `pointsman`: runs the gateway. Throws ConfigError before anything is started. */
export async function serve(given: ServeArguments): Promise<void> {
  const { config, notices } = loadFromArguments(given);
  const signal = firstSignal();
  let logger: Logger | undefined;
  surviveSignals(() => logger);
  const gateway = await startGateway(config);
  logger = gateway.context.logger;
  const facts = { version: VERSION, config, server: gateway.server, workers: config.initialWorkers.length };
  process.stdout.write(banner(facts, process.stdout.isTTY));
  for (const notice of notices) gateway.context.logger.warn({}, notice);
  await runUntil(signal, gateway);
}

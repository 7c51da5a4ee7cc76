import { banner } from "./banner.ts";
import { loadFromArguments } from "./load-from-arguments.ts";
import type { ServeArguments } from "./read-words.ts";
import { type RunningGateway, runUntil, startGateway } from "./run-gateway.ts";
import { firstSignal, surviveSignals } from "./signals.ts";
import { isTextual, logSurroundings } from "../observability/log-line.ts";
import { forgetStart } from "../util/after-start.ts";
import { VERSION } from "../util/version.ts";

/** `pointsman`: runs the gateway. Throws ConfigError before anything is started. */
export async function serve(given: ServeArguments): Promise<void> {
  const loaded = loadFromArguments(given);
  const { config, notices } = loaded;
  const signal = firstSignal();
  let running: RunningGateway | undefined;
  let isReloadAsked = false;
  surviveSignals(
    () => running?.context.logger,
    () => {
      if (running) reload(running);
      else isReloadAsked = true;
    },
  );
  const gateway = await startGateway(loaded, (document, allowed) => loadFromArguments(given, document, allowed));
  running = gateway;
  // The signal may have come after the file was read.
  if (isReloadAsked) reload(gateway);
  const facts = { version: VERSION, config, server: gateway.server, workers: config.initialWorkers.length };
  const text = banner(facts, isTextual(config.logFormat, logSurroundings()));
  // `process.stdout` takes 3 MB. Where nobody reads, nothing is lost.
  void Bun.write(Bun.stdout, text).catch(() => undefined);
  for (const notice of notices) gateway.context.logger.warn({}, notice);
  forgetStart();
  await runUntil(signal, gateway);
}

/** Reads the file again on SIGHUP, and then the certificates, which may have changed where the file has not. */
function reload({ transactions, context }: RunningGateway): void {
  const isRead = transactions.change({ document: "file", via: "signal", by: "SIGHUP" });
  // The log has said why.
  void isRead.catch(() => undefined).then(() => context.certificates.look());
}

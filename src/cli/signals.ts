import type { Logger } from "../observability/logger.ts";

/** The process: it gets signals and can be ended. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  exit(code: number): void;
}

/** Signals that end the gateway. SIGQUIT drains nginx, so it is among them. */
const END = ["SIGTERM", "SIGQUIT", "SIGINT"] as const;

/**
 * Resolves with the first SIGTERM, SIGQUIT or SIGINT; the second ends the process at once. Call it before anything prints that the
 * gateway runs, because a reader of that line may send a signal at once.
 */
export function firstSignal(source: SignalSource = process): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let signals = 0;
  for (const name of END) {
    source.on(name, (signal) => {
      signals += 1;
      if (signals > 1) source.exit(1);
      resolve(signal);
    });
  }
  return promise;
}

/**
 * Handles signals that would end the process: SIGHUP has the configuration read again, the others are those with which other servers
 * open their log again. A line says that these do nothing. Before the gateway runs, all of them are ignored.
 */
export function surviveSignals(
  logger: () => Logger | undefined,
  reload: () => void,
  source: SignalSource = process,
): void {
  source.on("SIGHUP", () => reload());
  for (const name of ["SIGUSR1", "SIGUSR2"] as const) {
    source.on(name, (signal) => logger()?.warn({ signal }, "this signal does nothing"));
  }
}

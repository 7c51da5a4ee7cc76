import type { Logger } from "../observability/logger.ts";

/** What sends signals, and can be ended: the process. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  exit(code: number): void;
}

/** SIGQUIT is what nginx is drained with. */
const END = ["SIGTERM", "SIGQUIT", "SIGINT"] as const;

/**
 * Resolves with the first SIGTERM, SIGQUIT or SIGINT; the second ends the process at once. Called before anything says that the
 * gateway runs, so that whoever reads that may signal.
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

const NO_RELOAD =
  "nothing is reloaded: change workers over the API; for other options start a new gateway on the same port (both with reuse_port), then send this one SIGTERM";

/**
 * Signals that mean something to other servers (read the configuration anew, open the log anew) would end the process. They do
 * nothing, and say so once there is a logger: a configuration that is half in force would be a state that no start can have.
 */
export function surviveSignals(logger: () => Logger | undefined, source: SignalSource = process): void {
  source.on("SIGHUP", (signal) => logger()?.warn({ signal }, NO_RELOAD));
  for (const name of ["SIGUSR1", "SIGUSR2"] as const) {
    source.on(name, (signal) => logger()?.warn({ signal }, "this signal does nothing"));
  }
}

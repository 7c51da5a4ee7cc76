import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { type AccessOptions, accessOf, addAccessOptions, type GatewayAccess, readUrl } from "./gateway-access.ts";
import { readSeconds } from "./read-seconds.ts";

/** The `top` command. */
export interface TopArguments {
  readonly gateway: GatewayAccess;
  /** Where the metrics are, if not on the port of the administration. */
  readonly metricsUrl: string | undefined;
  /** Time between two looks, s. */
  readonly intervalSecs: number;
  /** Print one table, and end. */
  readonly isOnce: boolean;
  readonly isJson: boolean;
}

interface TopOptions extends AccessOptions {
  readonly metricsUrl?: string;
  readonly interval?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

/** Adds `pointsman top`. */
export function addTopCommand(command: Command, run: (given: TopArguments) => Promise<void>): void {
  addAccessOptions(command)
    .option("--metrics-url <url>", "page of metrics, if it is not beside the administration")
    .option("--interval <time>", "time between two looks (default: 1s)")
    .option("--once", "print one table, and end")
    .option("--json", "print the rows of one table as JSON, and end")
    .action(async () => {
      const options: TopOptions = command.opts();
      await run({
        gateway: accessOf(options),
        metricsUrl: options.metricsUrl === undefined ? undefined : readUrl("--metrics-url", options.metricsUrl).href,
        intervalSecs: readInterval(options.interval ?? "1s"),
        isOnce: options.once === true,
        isJson: options.json === true,
      });
    });
}

/** Without a time between them, looks would take all that the gateway has, and never be forgotten. */
function readInterval(text: string): number {
  const secs = readSeconds("--interval", text);
  if (secs > 0) return secs;
  throw new ConfigError("--interval", "must be 1s or more");
}

import { checkConfig } from "../config/check-config.ts";
import { ConfigError } from "../config/config-error.ts";
import { sentence } from "../config/describe-issue.ts";
import type { ConfigText } from "../config/load.ts";
import { NEEDS_RESTART } from "../config/needs-restart.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import { errorMessage } from "../util/error-message.ts";
import { keysOf } from "../util/objects.ts";
import { type ConfigDifference, inWords } from "./config-diff.ts";
import type { LiveConfig } from "./live-config.ts";

/** The way that a change comes: a signal, the watched file, the administration. */
export type ChangeVia = "signal" | "file" | "api";

/** A change that somebody asks for. */
export interface ChangeRequest {
  /**
   * `file`: read the file of the start again. Otherwise a document, which may name variables and files that the file names, and no
   * others: the gateway may read what its callers may not.
   */
  readonly document: ConfigText | "file";
  /** What the document may name in place of that. */
  readonly allowed?: ReadonlySet<string>;
  readonly via: ChangeVia;
  /** Who asks, for the log and the history. */
  readonly by: string;
  /** The version that the caller has seen: the change is refused where another is in force. */
  readonly ifVersion?: number | undefined;
  /** Only check it and tell the differences. */
  readonly isDryRun?: boolean;
  /** Carry out what a running gateway can take, and let the rest wait for a restart. Otherwise such a change is refused whole. */
  readonly isPartial?: boolean;
}

/** What came of a change. */
export interface ChangeResult {
  /** The version in force now. */
  readonly version: number;
  /** Differences from what was in force, that were carried out; in a dry run, that would be. */
  readonly changes: readonly ConfigDifference[];
  /** Differences that wait for a restart. */
  readonly waiting: readonly ConfigDifference[];
  readonly notices: readonly string[];
}

/** The error for options that a running gateway cannot change. */
export function needsRestart(waiting: readonly ConfigDifference[]): GatewayError {
  const lines = waiting.map(inWords).join("; ");
  return new GatewayError(
    "config_needs_restart",
    `nothing is changed, because a running gateway cannot take: ${lines}`,
  );
}

/** The wanted configuration with the options in force that need a restart. */
export function withoutRestart(wanted: Config, inForce: Config): Config {
  const kept = Object.fromEntries(keysOf(NEEDS_RESTART).map((key) => [key, inForce[key]]));
  const mixed = { ...wanted, ...kept };
  // Options that are valid in the document may not go together with those in force.
  const [complaint] = checkConfig(mixed);
  if (complaint) throw new GatewayError("invalid_request", `without a restart: ${sentence(complaint)}`);
  return mixed;
}

/** Rejects with the refusal of a part as an error of the caller. */
export async function checkWith(live: LiveConfig, next: Config): Promise<void> {
  try {
    await live.check(next);
  } catch (error) {
    if (error instanceof GatewayError || error instanceof ConfigError) throw error;
    throw new GatewayError("invalid_request", errorMessage(error), { cause: error });
  }
}

/** Rejects with config_not_applied, and `stuck` parts as its cause. */
export async function carry(live: LiveConfig, next: Config): Promise<void> {
  try {
    await live.apply(next);
  } catch (cause) {
    const told = `the configuration of before is in force again: ${errorMessage(cause)}`;
    throw new GatewayError("config_not_applied", told, { cause });
  }
}

import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { type AccessOptions, accessOf, addAccessOptions, type GatewayAccess } from "./gateway-access.ts";

/** A `config` command that asks a running gateway. */
export interface ConfigArguments extends GatewayAccess {
  readonly command: "diff" | "apply" | "rollback" | "history";
  /** The configuration, for `diff` and `apply`; undefined: the file of the gateway itself. */
  readonly file: string | undefined;
  /** The version that `rollback` goes back to; undefined: the one before. */
  readonly version: number | undefined;
  /** Carry out what needs no restart. */
  readonly isPartial: boolean;
  /** Refuse where the gateway has another version. */
  readonly ifVersion: number | undefined;
}

/** Options of the commands that ask a running gateway. */
interface ConfigOptions extends AccessOptions {
  readonly partial?: boolean;
  readonly ifVersion?: string;
}

/** Adds the commands that ask a running gateway to `pointsman config`. `ask` runs one. */
export function addConfigCommands(config: Command, ask: (given: ConfigArguments) => Promise<void>): void {
  const add = (command: ConfigArguments["command"], argument: string | undefined, description: string): Command => {
    const added = addAccessOptions(
      config.command(argument === undefined ? command : `${command} [${argument}]`).description(description),
    );
    return added.action(async (...given: unknown[]) => {
      const options: ConfigOptions = added.opts();
      const [first] = given;
      const text = typeof first === "string" ? first : undefined;
      await ask({
        command,
        ...accessOf(options),
        file: command === "rollback" ? undefined : text,
        version: command === "rollback" ? readVersion("version", text) : undefined,
        isPartial: options.partial === true,
        ifVersion: readVersion("--if-version", options.ifVersion),
      });
    });
  };
  add(
    "diff",
    "file",
    "say what a configuration, or the gateway's own file as it is now, would change; exit code 0: nothing, 1: something, 2: it is wrong",
  );
  for (const changing of [
    add(
      "apply",
      "file",
      "make a configuration that of a running gateway; without a file, have the gateway read its own again",
    ),
    add("rollback", "version", "go back to the configuration before, or to a version of the history"),
  ]) {
    changing
      .option("--partial", "carry out what needs no restart, and let the rest wait")
      .option("--if-version <n>", "only if the gateway has this version of its configuration");
  }
  add("history", undefined, "list the configurations that the gateway has had");
}

function readVersion(where: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new ConfigError(where, `must be a whole number from 1, not ${JSON.stringify(text)}`);
}

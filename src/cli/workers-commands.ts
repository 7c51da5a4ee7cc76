import type { Command } from "commander";
import { type AccessOptions, accessOf, addAccessOptions, type GatewayAccess } from "./gateway-access.ts";
import { readSeconds } from "./read-seconds.ts";

/** A `workers` command. */
export interface WorkersArguments {
  readonly command: "list" | "cordon" | "uncordon" | "drain" | "remove";
  /** Id or address of the worker; empty for `list`. */
  readonly worker: string;
  /** Only the workers of this model are listed. */
  readonly model: string | undefined;
  /** Longest wait for the worker's requests in flight, s. */
  readonly timeoutSecs: number;
  readonly gateway: GatewayAccess;
  /** Print JSON. */
  readonly isJson: boolean;
}

interface WorkersOptions extends AccessOptions {
  readonly json?: boolean;
  readonly model?: string;
  readonly timeout?: string;
}

/** Long generations take minutes. */
const USUAL_TIMEOUT = "10m";

/** Adds the commands of `pointsman workers`. `run` runs one. */
export function addWorkersCommands(workers: Command, run: (given: WorkersArguments) => Promise<void>): void {
  const add = (command: WorkersArguments["command"], description: string): Command => {
    const added = workers.command(command === "list" ? command : `${command} <worker>`).description(description);
    addAccessOptions(added).option("--json", "print JSON");
    return added.action(async (...given: unknown[]) => {
      const options: WorkersOptions = added.opts();
      const [first] = given;
      await run({
        command,
        worker: typeof first === "string" ? first : "",
        model: options.model,
        timeoutSecs: readSeconds("--timeout", options.timeout ?? USUAL_TIMEOUT),
        gateway: accessOf(options),
        isJson: options.json === true,
      });
    });
  };
  add("list", "list the workers, and why one gets no requests").option(
    "--model <id>",
    "only the workers of this model",
  );
  add("cordon", "give a worker, named by its id or address, no new requests; it keeps those that it has");
  add("uncordon", "give it new requests again");
  withTimeout(add("drain", "cordon it, and wait until its requests in flight have ended; it stays a worker"));
  withTimeout(add("remove", "drain it and remove it; what has not ended by the gateway's own bound is ended"));
}

function withTimeout(command: Command): Command {
  return command.option(
    "--timeout <time>",
    `longest wait, such as 90s or 1h; then the command ends with 1 (default: ${USUAL_TIMEOUT})`,
  );
}

import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { type AccessOptions, accessOf, addAccessOptions, type GatewayAccess } from "./gateway-access.ts";
import { readSeconds } from "./read-seconds.ts";

/** A `keys` command. */
export interface KeysArguments {
  readonly command: "create" | "list" | "show" | "update" | "rotate" | "revoke";
  /** Id or name of the key; of a new one, its name. Empty for `list`. */
  readonly key: string;
  /** What the key is to be, or how it is rotated: the body of the route that does the same. */
  readonly wish: Readonly<Record<string, unknown>>;
  /** File of the key store; undefined: a running gateway is asked. */
  readonly store: string | undefined;
  readonly gateway: GatewayAccess;
  /** Print JSON. */
  readonly isJson: boolean;
}

interface KeysOptions extends AccessOptions {
  readonly keyStore?: string;
  readonly json?: boolean;
  readonly name?: string;
  readonly role?: string[];
  readonly models?: string[];
  readonly requestsPerMinute?: string;
  readonly tokensPerMinute?: string;
  readonly maxConcurrentRequests?: string;
  readonly priority?: string;
  readonly expiresAt?: string;
  readonly expiresIn?: string;
  readonly grace?: string;
}

/** Adds the commands of `pointsman keys`. `run` runs one. */
export function addKeysCommands(keys: Command, run: (given: KeysArguments) => Promise<void>): void {
  const add = (command: KeysArguments["command"], argument: string | undefined, description: string): Command => {
    const added = keys.command(argument === undefined ? command : `${command} <${argument}>`).description(description);
    added.option(
      "--key-store <file>",
      "change the file of the store itself; gateways that run with it take the change [POINTSMAN_KEY_STORE]",
    );
    addAccessOptions(added).option("--json", "print JSON");
    return added.action(async (...given: unknown[]) => {
      const options: KeysOptions = added.opts();
      const [first] = given;
      await run({
        command,
        key: typeof first === "string" ? first : "",
        wish: wishOf(options),
        store: options.keyStore ?? (options.url === undefined ? process.env["POINTSMAN_KEY_STORE"] : undefined),
        gateway: accessOf(options),
        isJson: options.json === true,
      });
    });
  };
  withWish(add("create", "name", "make a key, and print it this once"));
  add("list", undefined, "list all keys, without their texts");
  add("show", "key", "show a key, by its id or name");
  withWish(add("update", "key", "change a key; `none` takes a limit, the expiry or the choice of models away")).option(
    "--name <name>",
    "another name",
  );
  add("rotate", "key", "give a key a new text, and print it this once").option(
    "--grace <time>",
    "how long the old text stays valid, such as 0, 90s, 12h, 7d (default: 1d)",
  );
  add("revoke", "key", "make a key invalid, at once and for good");
}

function withWish(command: Command): Command {
  return command
    .option("--role <roles...>", "client (the default), viewer, operator, admin")
    .option("--models <patterns...>", "models that it may use, such as 'llama-*'")
    .option("--requests-per-minute <n>", "requests a minute")
    .option("--tokens-per-minute <n>", "tokens of prompts and answers a minute")
    .option("--max-concurrent-requests <n>", "requests at once")
    .option("--priority <class>", "high, normal or low")
    .option("--expires-at <time>", "end of the key, such as 2027-01-31T00:00:00Z")
    .option("--expires-in <time>", "the same from now on, such as 12h or 90d");
}

/** The body of the route that does the same. What was not given is not in it. */
function wishOf(options: KeysOptions): Record<string, unknown> {
  const { models } = options;
  const wish: Record<string, unknown> = {
    name: options.name,
    roles: options.role,
    models: models?.join() === NONE ? null : models,
    requests_per_minute: limit("--requests-per-minute", options.requestsPerMinute),
    tokens_per_minute: limit("--tokens-per-minute", options.tokensPerMinute),
    max_concurrent_requests: limit("--max-concurrent-requests", options.maxConcurrentRequests),
    priority: options.priority,
    expires_at: options.expiresAt === NONE ? null : options.expiresAt,
    expires_in_secs: seconds("--expires-in", options.expiresIn),
    grace_secs: seconds("--grace", options.grace),
  };
  return Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined));
}

const NONE = "none";

function limit(flag: string, text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  if (text === NONE) return null;
  if (/^[1-9]\d{0,12}$/.test(text)) return Number(text);
  throw new ConfigError(flag, `must be a whole number from 1, or none, not ${JSON.stringify(text)}`);
}

function seconds(flag: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : readSeconds(flag, text);
}

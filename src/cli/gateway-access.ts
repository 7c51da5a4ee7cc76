import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { CARRIES_USER, carriesUser, withoutUser } from "../util/address-user.ts";

/** Where a running gateway is, and what opens its administration. */
export interface GatewayAccess {
  readonly url: string;
  /** File with the admin key. */
  readonly keyFile: string | undefined;
  /** File with the certificates of the authority that the gateway's certificate is from. */
  readonly caFile: string | undefined;
}

/** The options of a command that asks a running gateway, as they are given. */
export interface AccessOptions {
  readonly url?: string;
  readonly adminKeyFile?: string;
  readonly caFile?: string;
}

const USUAL_URL = "http://127.0.0.1:30000";

/** Adds the options that say where the gateway is. */
export function addAccessOptions(command: Command): Command {
  return command
    .option("--url <url>", `the gateway, or its admin port (default: "${USUAL_URL}")`)
    .option("--admin-key-file <file>", "file with the admin key; without it, POINTSMAN_ADMIN_API_KEY")
    .option("--ca-file <file>", "certificates of the authority that the gateway's certificate is from");
}

/** Where the gateway is, by these options. Throws ConfigError. */
export function accessOf({ url = USUAL_URL, adminKeyFile, caFile }: AccessOptions): GatewayAccess {
  const { pathname, search } = readUrl("--url", url);
  if (pathname !== "/" || search !== "")
    throw new ConfigError("--url", `must have no path, unlike ${JSON.stringify(url)}`);
  return { url, keyFile: adminKeyFile, caFile };
}

/** An address that `flag` gives. Throws ConfigError, also where it has a password: the key is what opens a gateway. */
export function readUrl(flag: string, text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    throw new ConfigError(flag, `must be an address such as ${USUAL_URL}, not ${withoutUser(JSON.stringify(text))}`);
  if (carriesUser(url)) throw new ConfigError(flag, `${CARRIES_USER}; give the key with --admin-key-file`);
  return url;
}

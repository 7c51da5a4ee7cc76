import type { Command } from "commander";

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

/** Where the gateway is, by these options. */
export function accessOf({ url, adminKeyFile, caFile }: AccessOptions): GatewayAccess {
  return { url: url ?? USUAL_URL, keyFile: adminKeyFile, caFile };
}

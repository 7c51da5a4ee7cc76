import type * as Net from "node:net";
import { z } from "zod";
import { isServiceName } from "../util/dns-name.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import { lazy } from "../util/lazy.ts";

const net = lazy((): typeof Net => require("node:net"));

const workerName = z
  .string()
  .max(512)
  .superRefine((text, context) => {
    const refusal = refusalOf(text);
    if (refusal !== undefined) context.addIssue({ code: "custom", message: refusal });
  });

/** Why this is no name whose records are workers; undefined where it is one. */
function refusalOf(text: string): string | undefined {
  const parsed = parseWorkerUrl(text);
  if (!parsed.ok) return `must be a URL such as http://engines:8000: ${parsed.reason}`;
  const { hostname, port, protocol } = new URL(parsed.url);
  if (hostname.startsWith("[") || net().isIP(hostname) !== 0)
    return "must have a name: an address is a worker of --worker-urls";
  if (isServiceName(hostname)) return port === "" ? undefined : "must have no port: the SRV records say the ports";
  // The certificate of an engine names the name, and its addresses are what is connected to.
  if (/^(https|grpcs):$/.test(protocol)) {
    return "must be http:// or grpc://: certificates name no addresses; with TLS use an SRV name, whose targets are names";
  }
  return undefined;
}

/** The options for workers that are found by names in the DNS. */
export const DNS_OPTIONS = {
  workerDns: z.array(workerName).max(64).default([]).meta({
    group: "Workers",
    description:
      "Names whose records are workers, such as `http://engines.models.svc.cluster.local:8000`: each A record is one (each AAAA record, where there is no A record). With `http://_http._tcp.engines.models.svc.cluster.local` each SRV record is one. The names are looked up every 5 s ([dns.md](dns.md)).",
  }),
  prefillDns: z.array(workerName).max(64).default([]).meta({
    group: "Workers",
    description: "Names whose records are workers that prefill, with `pd_disaggregation`.",
  }),
  decodeDns: z.array(workerName).max(64).default([]).meta({
    group: "Workers",
    description: "Names whose records are workers that decode, with `pd_disaggregation`.",
  }),
} as const;

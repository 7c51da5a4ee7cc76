import { mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEngine } from "../../src/engine-sim/engine.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startPdEngine } from "../engines/pd/pd-engine.ts";
import type { PdDialect, PdSide } from "../engines/pd/pd-options.ts";
import { TEST_CA, TEST_PAIRS } from "./tls.ts";

const ROOT = join(import.meta.dir, "../..");
/** Whose names the hosts of the pages are. */
const ADDRESSES = {
  "127.0.0.1": ["localhost", "gateway", "collector"],
  "127.0.0.11": ["gpu1", "gpu1.internal", "engines.models.svc.cluster.local"],
  "127.0.0.12": ["gpu2", "gpu2.internal"],
  "127.0.0.13": ["gpu3"],
  "127.0.0.21": ["p1"],
  "127.0.0.22": ["p2"],
  "127.0.0.31": ["d1"],
  "127.0.0.32": ["d2"],
} as const;

/** A network, and an `/etc` of its own, in which the hosts that pages name have simulated engines. `sh -c SETUP SH PROGRAM ARG...` */
export const WORLD_SETUP = [
  "unshare",
  "--net",
  "--pid",
  "--mount",
  "--fork",
  "--kill-child",
  "sh",
  "-c",
  'ip link set lo up && cp -a /etc "$0/etc" && mount --bind "$0/etc" /etc && "$@"',
];

/** Makes what the pages take for granted: names of hosts, engines, files of certificates. Returns the folder in which commands run. */
export async function makeWorld(): Promise<string> {
  writeHosts();
  writeCertificates();
  for (const host of ["gpu1", "gpu2"]) {
    await offer(host, 8000, (await startEngine({ model: "sim-1", timing: QUICK })).port);
    await offer(host, 50_051, (await startGrpcEngine({ kind: "vllm", model: "sim-1" })).port);
  }
  startCollector();
  startCluster();
  await offerPair("nixl", ["p1", "p2"], ["d1", "d2"], [8000, 8000]);
  await offerPair("sglang", ["p1"], ["d1"], [30_000, 30_001]);
  return checkout();
}

/** Answers come in a second, so that a page can look at requests that are under way. */
const QUICK = { decodeMs: 10 };

/** A folder with what the checkout has, in which commands may write. */
function checkout(): string {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-page-"));
  for (const entry of readdirSync(ROOT)) {
    if (!entry.startsWith(".")) symlinkSync(join(ROOT, entry), join(folder, entry));
  }
  return folder;
}

function writeHosts(): void {
  const lines = Object.entries(ADDRESSES).map(([address, names]) => `${address} ${names.join(" ")}\n`);
  writeFileSync("/etc/hosts", lines.join(""));
}

/** The gateway's files; `/etc/pointsman/new` has the pair of a renewal. */
function writeCertificates(): void {
  mkdirSync("/etc/pointsman/new", { recursive: true });
  const { first, second, named } = TEST_PAIRS;
  for (const name of ["ca.crt", "other-ca.crt"]) writeFileSync(join("/etc/pointsman", name), TEST_CA);
  for (const [name, pair] of Object.entries({
    tls: first,
    "new/tls": second,
    client: first,
    other: first,
    "models.example": named,
  })) {
    writeFileSync(`/etc/pointsman/${name}.crt`, pair.cert);
    writeFileSync(`/etc/pointsman/${name}.key`, pair.key, { mode: 0o600 });
  }
}

/** Takes traces as a collector of OpenTelemetry does. */
function startCollector(): void {
  Bun.serve({ hostname: "127.0.0.1", port: 4318, fetch: () => Response.json({}) });
}

/** An API server whose namespace `models` has one pod, with an engine; nothing ever changes there. `KUBECONFIG` leads to it. */
function startCluster(): void {
  const metadata = { name: "vllm-0", namespace: "models", uid: "1", resourceVersion: "1", labels: { app: "vllm" } };
  const ip = addressOf("gpu1");
  const status = { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] };
  const pod = { metadata, spec: { nodeName: "node-1", containers: [{ name: "engine" }] }, status };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: (request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname !== "/api/v1/namespaces/models/pods") return new Response("", { status: 404 });
      if (searchParams.has("watch")) return new Response(new ReadableStream());
      return Response.json({ metadata: { resourceVersion: "1" }, items: [pod] });
    },
  });
  const cluster = { server: server.url.origin };
  const config = {
    "current-context": "here",
    contexts: [{ name: "here", context: { cluster: "here", user: "gateway" } }],
    clusters: [{ name: "here", cluster }],
    users: [{ name: "gateway", user: {} }],
  };
  writeFileSync("/etc/pointsman/kubeconfig", JSON.stringify(config));
  process.env["KUBECONFIG"] = "/etc/pointsman/kubeconfig";
}

async function offerPair(
  dialect: PdDialect,
  prefills: readonly string[],
  decodes: readonly string[],
  [prefillPort, decodePort]: readonly [number, number],
): Promise<void> {
  const start = async (side: PdSide): Promise<number> => (await startPdEngine({ dialect, side })).port;
  for (const host of prefills) await offer(host, prefillPort, await start("prefill"));
  for (const host of decodes) await offer(host, decodePort, await start("decode"));
}

/** Makes what listens on a port of loopback answer at this host and port as well. */
async function offer(host: string, port: number, target: number): Promise<void> {
  const server = createServer((client) => {
    const engine = connect(target, "127.0.0.1");
    client.pipe(engine).pipe(client);
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, addressOf(host), resolve);
  });
}

function addressOf(host: string): string {
  const found = Object.entries(ADDRESSES).find(([, names]) => names.some((name) => name === host));
  if (!found) throw new Error(`there is no host ${host}`);
  return found[0];
}

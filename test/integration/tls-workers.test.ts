import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../src/config/schema.ts";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import type { Worker } from "../../src/worker/worker.ts";
import { eventually } from "../faults/observe.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { BIN } from "../support/process.ts";
import { TEST_CA, TEST_CERT, TEST_KEY, TEST_PAIRS, type TestPair } from "../support/tls.ts";
import { mountSecret } from "../support/tls-files.ts";

const { first, second, elsewhere, expired, client } = TEST_PAIRS;

interface TlsEngine extends Disposable {
  readonly url: string;
  /** Paths of the inference requests that it got. */
  readonly seen: string[];
  /** Server names that it was asked for. */
  readonly names: Set<string>;
  /** Serial numbers of the certificates that it was shown. */
  readonly shown: Set<string>;
}

/** An engine with this certificate. `clientCa`: it wants a certificate of this authority. */
function startTlsEngine(pair: TestPair, clientCa?: string): TlsEngine {
  const seen: string[] = [];
  const names = new Set<string>();
  const shown = new Set<string>();
  const body = JSON.stringify({ object: "chat.completion", data: [{ id: "sim-1" }], choices: [] });
  const answer = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    tls: {
      cert: pair.cert,
      key: pair.key,
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    socket: {
      handshake(socket) {
        names.add(socket.getServername());
        const certificate: { serialNumber?: string } | null = socket.getPeerCertificate();
        if (certificate?.serialNumber !== undefined) shown.add(certificate.serialNumber);
      },
      data(socket, bytes) {
        const [, path = ""] = bytes.toString("latin1").split(" ");
        if (path.startsWith("/v1/chat")) seen.push(path);
        socket.write(answer);
      },
    },
  });
  return {
    url: `https://127.0.0.1:${server.port}`,
    seen,
    names,
    shown,
    [Symbol.dispose]: () => server.stop(true),
  };
}

type WorkerTlsGiven = NonNullable<Config["initialWorkers"][number]["tls"]>;

/** A gateway with one worker, whose TLS differs in this way. */
async function gatewayFor(url: string, tls: WorkerTlsGiven, config: Partial<Config> = {}): Promise<TestGateway> {
  const { config: defaults } = loadConfig({ env: {}, flags: { ...NO_FLAGS, workers: [url] } });
  const initialWorkers = defaults.initialWorkers.map((worker) => ({ ...worker, tls }));
  return startGateway({ config: { initialWorkers, ...config }, isUnready: config.disableHealthCheck !== true });
}

function theWorker({ context }: TestGateway): Worker {
  const [worker] = context.workerRegistry.all();
  if (!worker) throw new Error("there is no worker");
  return worker;
}

async function lastError(gateway: TestGateway): Promise<string> {
  await eventually(() => theWorker(gateway).lastError !== undefined, "the probe");
  return theWorker(gateway).lastError?.message ?? "";
}

async function ask(gateway: TestGateway): Promise<Response> {
  return post(`${gateway.url}/v1/chat/completions`, HELLO);
}

describe("a worker with TLS", () => {
  const strangers: readonly [string, TestPair, RegExp][] = [
    ["of an authority that nobody knows", { cert: TEST_CERT, key: TEST_KEY }, /no authority that the gateway trusts/],
    ["for another name", elsewhere, /is for another name than its address \(IP: 127.0.0.1 .*\); server_name/],
    ["that has expired", expired, /its certificate has expired/],
  ];
  for (const [what, pair, reason] of strangers) {
    test(`and a certificate ${what} never sees a request, the operator reads why, and the client does not`, async () => {
      using secret = mountSecret(first);
      using engine = startTlsEngine(pair);
      await using gateway = await gatewayFor(engine.url, {}, { caCertPaths: [secret.caPath] });
      expect(await lastError(gateway)).toMatch(reason);
      await using open = await gatewayFor(engine.url, {}, { caCertPaths: [secret.caPath], disableHealthCheck: true });
      const response = await ask(open);
      const text = await response.text();
      expect([response.status, text]).toEqual([502, expect.stringContaining("upstream_connect_failed")]);
      expect(text).not.toMatch(/certif|elsewhere|expired|authority/);
      expect(engine.seen).toEqual([]);
    });
  }

  test("is trusted by the authority of ca_cert_paths, or by its own", async () => {
    using secret = mountSecret(first);
    using engine = startTlsEngine(first);
    await using all = await gatewayFor(engine.url, {}, { caCertPaths: [secret.caPath] });
    await eventually(() => theWorker(all).status === "ready", "the worker is ready");
    expect((await ask(all)).status).toBe(200);
    await using own = await gatewayFor(engine.url, { caCertPath: secret.caPath });
    await eventually(() => theWorker(own).status === "ready", "the worker is ready");
    expect((await ask(own)).status).toBe(200);
  });

  test("is asked for the name that its certificate has", async () => {
    using secret = mountSecret(first);
    using engine = startTlsEngine(elsewhere);
    const caCertPaths = [secret.caPath];
    await using own = await gatewayFor(engine.url, { serverName: "elsewhere.test" }, { caCertPaths });
    await eventually(() => theWorker(own).status === "ready", "the worker is ready");
    expect((await ask(own)).status).toBe(200);
    await using all = await gatewayFor(engine.url, {}, { caCertPaths, workerServerName: "elsewhere.test" });
    await eventually(() => theWorker(all).status === "ready", "the worker is ready");
    expect([...engine.names]).toEqual(["elsewhere.test"]);
  });

  test("is taken with any certificate where it is not checked, and the log warns of it", async () => {
    const warnings: unknown[] = [];
    const ignore = (): void => undefined;
    const logger = {
      debug: ignore,
      info: ignore,
      error: ignore,
      warn: (_: object, message?: string) => void warnings.push(message),
    };
    for (const pair of [expired, elsewhere]) {
      using engine = startTlsEngine(pair);
      await using gateway = await gatewayFor(engine.url, { insecureSkipVerify: true });
      await eventually(() => theWorker(gateway).status === "ready", "the worker is ready");
      expect((await ask(gateway)).status).toBe(200);
    }
    using engine = startTlsEngine(expired);
    const { config: defaults } = loadConfig({ env: {}, flags: { ...NO_FLAGS, workers: [engine.url] } });
    const initialWorkers = defaults.initialWorkers.map((worker) => ({ ...worker, tls: { insecureSkipVerify: true } }));
    await using _ = await startGateway({ config: { initialWorkers }, overrides: { logger } });
    expect(warnings).toContain("the worker's certificate is not checked: whoever is on the way reads everything");
  });

  test("that wants a certificate gets the gateway's", async () => {
    using secret = mountSecret(client);
    using engine = startTlsEngine(first, TEST_CA);
    const caCertPaths = [secret.caPath];
    await using without = await gatewayFor(engine.url, {}, { caCertPaths });
    expect(await lastError(without)).toContain("it wants a certificate of the gateway");
    const pair = { clientCertPath: secret.certPath, clientKeyPath: secret.keyPath };
    await using withAll = await gatewayFor(engine.url, {}, { caCertPaths, ...pair });
    await eventually(() => theWorker(withAll).status === "ready", "the worker is ready");
    expect((await ask(withAll)).status).toBe(200);
    await using withOwn = await gatewayFor(engine.url, pair, { caCertPaths });
    await eventually(() => theWorker(withOwn).status === "ready", "the worker is ready");
  });

  test("that wants a certificate gets the next one when that has changed", async () => {
    using secret = mountSecret(client);
    using engine = startTlsEngine(first, TEST_CA);
    await using gateway = await gatewayFor(
      engine.url,
      {},
      { caCertPaths: [secret.caPath], clientCertPath: secret.certPath, clientKeyPath: secret.keyPath },
    );
    await eventually(() => theWorker(gateway).status === "ready", "the worker is ready");
    expect((await ask(gateway)).status).toBe(200);
    const before = engine.shown.size;
    secret.swap(second);
    await gateway.context.certificates.look();
    expect((await ask(gateway)).status).toBe(200);
    expect([before, engine.shown.size]).toEqual([1, 2]);
  });

  test("is probed again, over new connections, when its TLS changes over the API", async () => {
    using secret = mountSecret(first);
    using engine = startTlsEngine(elsewhere);
    await using gateway = await gatewayFor(engine.url, {}, { caCertPaths: [secret.caPath] });
    expect(await lastError(gateway)).toContain("another name");
    const { id } = theWorker(gateway);
    const patch = (tls: object): Promise<Response> =>
      fetch(`${gateway.url}/workers/${id}`, {
        method: "PATCH",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ tls }),
      });
    const refused = await patch({ ca_cert_path: secret.keyPath });
    expect([refused.status, await refused.text()]).toEqual([
      400,
      expect.stringContaining("named in the configuration alone"),
    ]);
    expect((await patch({ server_name: "elsewhere.test" })).status).toBe(202);
    await eventually(() => theWorker(gateway).status === "ready", "the worker is ready");
    expect((await ask(gateway)).status).toBe(200);
  });

  test("whose answer ends with the connection alone is taken for cut, as anyone on the way could have cut it", async () => {
    using secret = mountSecret(first);
    for (const scheme of ["http", "https"]) {
      const server = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        ...(scheme === "https" ? { tls: first } : {}),
        socket: {
          data(socket) {
            socket.end(
              'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{"object":"chat.completion"}',
            );
          },
        },
      });
      const options = { caCertPaths: [secret.caPath], disableHealthCheck: true };
      await using gateway = await gatewayFor(`${scheme}://127.0.0.1:${server.port}`, {}, options);
      const response = await ask(gateway);
      expect([scheme, response.status]).toEqual([scheme, scheme === "http" ? 200 : 502]);
      if (scheme === "https") expect(await response.text()).toContain("upstream_truncated");
      server.stop(true);
    }
  });
});

test("with its authority in NODE_EXTRA_CA_CERTS, an https worker is a worker like others", async () => {
  using secret = mountSecret(first);
  using engine = startTlsEngine(first);
  const authority = join(secret.caPath, "../extra.pem");
  writeFileSync(authority, TEST_CA);
  // Trust is read when a process starts, so this takes one of its own.
  const words = ["--host", "127.0.0.1", "--port", "0", "--prometheus-port", "0", "--worker", engine.url];
  const child = Bun.spawn([BIN, ...words], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, NODE_EXTRA_CA_CERTS: authority },
  });
  const { value } = await child.stdout.getReader().read();
  const [line = ""] = Buffer.from(value ?? [])
    .toString()
    .split("\n");
  const { url } = JSON.parse(line) as { url: string };
  await eventually(async () => (await fetch(`${url}/readiness`)).ok, "the worker is ready");
  for (let count = 0; count < 3; count += 1) expect((await post(`${url}/v1/chat/completions`, HELLO)).status).toBe(200);
  expect(engine.seen).toHaveLength(3);
  child.kill("SIGINT");
  await child.exited;
});

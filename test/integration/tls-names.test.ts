import { X509Certificate as X509 } from "node:crypto";
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../faults/observe.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { TEST_PAIRS, type TestPair } from "../support/tls.ts";
import { tlsClient } from "../support/tls-client.ts";
import { mountSecret } from "../support/tls-files.ts";

const { first, second, named } = TEST_PAIRS;

interface Gateway extends AsyncDisposable {
  readonly process: GatewayProcess;
  readonly port: number;
  /** Puts another pair in the place of the first of the further ones. */
  swap(pair: TestPair): void;
}

/** A gateway with the certificate of localhost, and one for models.example. */
async function start(flags: readonly string[]): Promise<Gateway> {
  const stack = new AsyncDisposableStack();
  const [main, other] = [stack.use(mountSecret(first)), stack.use(mountSecret(named))];
  const folder = mkdtempSync(join(tmpdir(), "pointsman-names-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "pointsman.yaml");
  writeFileSync(
    file,
    `tls_cert_path: ${main.certPath}\ntls_key_path: ${main.keyPath}\ntls_certificates:\n  - cert_path: ${other.certPath}\n    key_path: ${other.keyPath}\n`,
  );
  const process = stack.use(await startProcess(["--config", file, ...flags]));
  return {
    process,
    port: Number(new URL(process.url).port),
    swap: (pair) => other.swap(pair),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Serial number of the certificate that a client of this server name gets; the code of the failure where it gets none. */
async function serialFor(port: number, servername: string | undefined, more: object = {}): Promise<string> {
  const name = servername === undefined ? { servername: "" } : { servername };
  const client = tlsClient(port, { ...name, rejectUnauthorized: false, ...more });
  const failure = await client.secured.then(
    () => undefined,
    (error: Error) => error.message,
  );
  const { serialNumber } = client.socket.getPeerCertificate();
  client.socket.destroy();
  return failure ?? serialNumber;
}

const serialOf = ({ cert }: { readonly cert: string }): string => new X509(cert).serialNumber;

describe.each([1, 2])("a gateway with certificates for several names, with %d threads", (threads) => {
  test("gives each client the one that it asks for, in both versions of TLS, and serves it", async () => {
    await using gateway = await start(["--threads", String(threads)]);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      for (const name of ["models.example", "MODELS.example", "eu.models.example"])
        expect(await serialFor(gateway.port, name, { maxVersion })).toBe(serialOf(named));
      for (const name of ["localhost", "other.example", "a.eu.models.example", undefined])
        expect(await serialFor(gateway.port, name, { maxVersion })).toBe(serialOf(first));
    }
    const client = tlsClient(gateway.port, {
      servername: "models.example",
      ca: named.cert,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    client.socket.write("GET /health HTTP/1.1\r\nhost: models.example\r\n\r\n");
    expect(await client.until("200 OK")).toStartWith("HTTP/1.1 200 OK");
    expect(client.socket.alpnProtocol).toBe("http/1.1");
    client.socket.destroy();
  });

  test("takes a renewed one on all threads, and keeps the earlier one where the files are wrong", async () => {
    await using gateway = await start(["--threads", String(threads)]);
    gateway.swap({ cert: named.cert, key: second.key });
    await eventually(() => {
      gateway.process.signal("SIGHUP");
      return gateway.process.output.includes("changed certificates are not used");
    }, "the refusal");
    expect(await serialFor(gateway.port, "models.example")).toBe(serialOf(named));
    // It is for localhost, so nothing is for models.example any more.
    gateway.swap(second);
    gateway.process.signal("SIGHUP");
    await eventually(() => gateway.process.output.includes("certificates changed"), "the new certificate");
    const serials = await Promise.all(Array.from({ length: 20 }, () => serialFor(gateway.port, "models.example")));
    expect(new Set(serials)).toEqual(new Set([serialOf(first)]));
  });
});

test("the oldest version of TLS and the authorities of clients hold for all names", async () => {
  await using strict = await start(["--tls-min-version", "1.3"]);
  expect(await serialFor(strict.port, "models.example", { maxVersion: "TLSv1.2" })).not.toBe(serialOf(named));
  expect(await serialFor(strict.port, "models.example")).toBe(serialOf(named));
  using secret = mountSecret(first);
  await using mutual = await start(["--tls-client-ca-path", secret.caPath]);
  // One that shows nothing, and one whose certificate is of another authority.
  for (const shown of [{}, TEST_PAIRS.nameless]) {
    const stranger = tlsClient(mutual.port, { servername: "models.example", rejectUnauthorized: false, ...shown });
    stranger.socket.write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
    expect(await stranger.closed).toBe("");
  }
  const known = tlsClient(mutual.port, {
    servername: "models.example",
    rejectUnauthorized: false,
    ...TEST_PAIRS.client,
  });
  known.socket.write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
  await known.until("200 OK");
  known.socket.destroy();
});

test("a session is taken up again under its name", async () => {
  await using gateway = await start([]);
  const sessions: Buffer[] = [];
  const one = tlsClient(gateway.port, { servername: "models.example", ca: named.cert });
  one.socket.on("session", (session: Buffer) => sessions.push(session));
  one.socket.write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
  await one.until("200 OK");
  await eventually(() => sessions.length > 0, "a session");
  one.socket.destroy();
  const again = tlsClient(gateway.port, { servername: "models.example", ca: named.cert, session: sessions.at(-1) });
  await again.secured;
  expect(again.socket.isSessionReused()).toBe(true);
  again.socket.destroy();
});

import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { PUBLIC_WORKERS, type WorkersTls, WorkerTls, type WorkerTlsSpec } from "../../src/transport/tls/worker-tls.ts";
import { callOptions, failureCode, startTransport } from "../grpc/calls.ts";
import { grpcMessage } from "../grpc/raw-http2.ts";
import { TEST_CA, TEST_CERT, TEST_KEY, TEST_PAIRS, type TestPair } from "../support/tls.ts";

interface TlsServer extends AsyncDisposable {
  readonly origin: string;
  readonly seen: string[];
  /** Serial numbers of the certificates that it was shown. */
  readonly shown: Set<string>;
}

/** `clientCa`: it wants certificates of this authority. */
async function startTlsServer(
  pair: TestPair = { cert: TEST_CERT, key: TEST_KEY },
  clientCa?: string,
): Promise<TlsServer> {
  const seen: string[] = [];
  const shown = new Set<string>();
  const mutual = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  const server = createSecureServer({ cert: pair.cert, key: pair.key, ...mutual });
  server.on("secureConnection", (socket: TLSSocket) => {
    const { serialNumber } = socket.getPeerCertificate();
    if (serialNumber !== undefined) shown.add(serialNumber);
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    seen.push(String(headers[":path"]));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(grpcMessage(Buffer.from("answer")));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  return {
    origin: `grpcs://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    seen,
    shown,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

test("a worker whose certificate nobody vouches for never sees a call", async () => {
  await using server = await startTlsServer();
  using transport = startTransport();
  const call = transport.unary(server.origin, "/test.Test/Unary", Buffer.from("q"), callOptions(transport));
  expect(await failureCode(call)).toBe("upstream_connect_failed");
  expect(server.seen).toEqual([]);
});

test("with its authority trusted, a grpcs worker is a worker like others", async () => {
  await using server = await startTlsServer();
  const directory = mkdtempSync(join(tmpdir(), "pointsman-tls-"));
  const authority = join(directory, "ca.pem");
  writeFileSync(authority, TEST_CERT);
  // Trust is read when a process starts, so this takes one of its own.
  const script = `
    import { callOptions, startTransport } from ${JSON.stringify(join(import.meta.dir, "../grpc/calls.ts"))};
    const transport = startTransport();
    const answer = await transport.unary(process.argv[1], "/test.Test/Unary", Buffer.from("q"), callOptions(transport));
    console.log(Buffer.from(answer).toString());
    transport[Symbol.dispose]();
  `;
  const child = Bun.spawn([process.execPath, "-e", script, server.origin], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: authority },
    stdout: "pipe",
    stderr: "inherit",
  });
  expect((await new Response(child.stdout).text()).trim()).toBe("answer");
  expect(await child.exited).toBe(0);
  expect(server.seen).toEqual(["/test.Test/Unary"]);
});

const { first, second, elsewhere, client } = TEST_PAIRS;
const OURS: WorkersTls = { ...PUBLIC_WORKERS, authorities: [TEST_CA] };

/** What comes of one call to the server: the answer, or the failure's code and what the operator reads of it. */
async function callOver(server: TlsServer, workers: WorkersTls, spec?: WorkerTlsSpec): Promise<readonly string[]> {
  using transport = startTransport({}, new WorkerTls(workers, () => spec));
  const call = transport.unary(server.origin, "/test.Test/Unary", Buffer.from("q"), callOptions(transport));
  try {
    return [Buffer.from(await call).toString()];
  } catch (error) {
    const { code, cause } = error as { code: string; cause: unknown };
    return [code, cause instanceof Error ? cause.message : ""];
  }
}

test("a grpcs worker is trusted by a configured authority, under its own name or under the one that it is asked for", async () => {
  await using server = await startTlsServer(first);
  expect(await callOver(server, OURS)).toEqual(["answer"]);
  await using named = await startTlsServer(elsewhere);
  expect(await callOver(named, OURS)).toEqual(["upstream_connect_failed", expect.stringContaining("for another name")]);
  expect(await callOver(named, OURS, { serverName: "elsewhere.test" })).toEqual(["answer"]);
  expect(await callOver(named, PUBLIC_WORKERS, { insecureSkipVerify: true })).toEqual(["answer"]);
  expect([server.seen.length, named.seen.length]).toEqual([1, 2]);
});

test("a grpcs worker that wants a certificate gets the gateway's, and the next one over a new connection", async () => {
  await using server = await startTlsServer(first, TEST_CA);
  const [code, reason] = await callOver(server, OURS);
  expect([code, reason]).toEqual(["upstream_connect_failed", expect.stringContaining("it wants a certificate")]);
  const tls = new WorkerTls({ ...OURS, pair: client }, () => undefined);
  using transport = startTransport({}, tls);
  const call = (): Promise<Uint8Array> =>
    transport.unary(server.origin, "/test.Test/Unary", Buffer.from("q"), callOptions(transport));
  await call();
  await call();
  const before = server.shown.size;
  tls.replace({ ...OURS, pair: second });
  transport.renew(server.origin);
  await call();
  expect([before, server.shown.size]).toEqual([1, 2]);
});

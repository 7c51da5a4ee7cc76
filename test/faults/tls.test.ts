import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, symlinkSync } from "node:fs";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { TEST_CA, TEST_CERT, TEST_KEY, TEST_PAIRS, type TestPair } from "../support/tls.ts";
import { tlsClient } from "../support/tls-client.ts";
import { mountSecret, type MountedSecret } from "../support/tls-files.ts";
import { CHAT } from "./apis.ts";
import { repeat } from "./ask.ts";
import { freePort } from "./free-port.ts";
import { eventually, expectSameProcessServes, observe, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";

const { first, second, elsewhere, expired, client } = TEST_PAIRS;

let secret: MountedSecret;
let gateway: FaultGateway;
/** Port of the gateway itself. The rest of the file asks through a door that speaks TLS for it. */
let port: number;
let door: Server;
let engine: SimulatedEngine;
let served: Served;
beforeAll(async () => {
  secret = mountSecret(first);
  const { certPath, keyPath, caPath } = secret;
  const started = await startFaultGateway([
    ...["--tls-cert-path", certPath, "--tls-key-path", keyPath, "--tls-client-ca-path", caPath],
    ...["--ca-cert-paths", caPath, "--retry-max-retries", "0"],
  ]);
  port = Number(new URL(started.url).port);
  door = await openDoor(port);
  const address = door.address();
  gateway = Object.assign(started, {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : undefined}`,
  });
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  door.close();
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
  secret[Symbol.dispose]();
});

/** A port without TLS that passes everything to the gateway's, with a client's certificate. */
function openDoor(to: number): Promise<Server> {
  const { promise, resolve } = Promise.withResolvers<Server>();
  const server = createServer((socket) => {
    const up = connect({ port: to, host: "127.0.0.1", servername: "localhost", ca: TEST_CA, ...client });
    for (const [one, other] of [
      [socket, up],
      [up, socket],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      one.on("data", (bytes: Buffer) => void other.write(bytes));
    }
  });
  return server.listen(0, "127.0.0.1", () => resolve(server)) && promise;
}

const send = async (model = "m"): Promise<Response> => post(gateway.url + CHAT.path, chat(model));

/** Requests of well-behaved clients meanwhile; how long the slowest took, ms. */
async function slowestOf(requests: number): Promise<number> {
  const took = await repeat(requests, 4, async () => {
    const from = performance.now();
    const response = await send();
    await response.arrayBuffer();
    expect(response.status).toBe(200);
    return performance.now() - from;
  });
  return Math.max(...took);
}

/** The first bytes of a client's handshake. */
async function hello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        resolve(Buffer.from(bytes));
        socket.terminate();
      },
    },
  });
  connect({ port: listener.port, host: "127.0.0.1", servername: "localhost" }).on("error", () => undefined);
  const bytes = await promise;
  listener.stop(true);
  return bytes;
}

interface RawClient {
  readonly socket: Socket;
  /** What came, once the connection is closed. */
  readonly closed: Promise<Buffer>;
  readonly first: Promise<Buffer>;
}

function rawClient(): RawClient {
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  const pieces: Buffer[] = [];
  const firstPiece = Promise.withResolvers<Buffer>();
  const closed = Promise.withResolvers<Buffer>();
  socket.on("error", () => undefined);
  socket.on("data", (bytes: Buffer) => {
    pieces.push(bytes);
    firstPiece.resolve(bytes);
  });
  socket.on("close", () => closed.resolve(Buffer.concat(pieces)));
  return { socket, closed: closed.promise, first: firstPiece.promise };
}

describe("a handshake", () => {
  test("row 166: that hundreds of clients begin and do not finish: others are served meanwhile", async () => {
    const begin = await hello();
    const stalled = Array.from({ length: 300 }, rawClient);
    for (const { socket } of stalled) socket.write(begin.subarray(0, 100));
    const slowest = await slowestOf(40);
    for (const { socket } of stalled) socket.destroy();
    await Promise.all(stalled.map(({ closed }) => closed));
    observe(166, `300 stalled handshakes: 40 of 40 other requests 200, the slowest in ${slowest.toFixed(0)} ms`);
  });

  test("row 166: that comes a byte at a time is finished", async () => {
    const { socket, first: answer } = rawClient();
    for (const byte of await hello()) {
      socket.write(Buffer.of(byte));
      await Bun.sleep(0);
    }
    // A record of a handshake (RFC 8446, section 5.1), with the server's hello.
    expect((await answer)[0]).toBe(0x16);
    socket.destroy();
  });

  test("row 166: that is none, too large, or of HTTP/2 alone ends its connection", async () => {
    const kinds: Readonly<Record<string, Buffer>> = {
      "a record of 64 kB": Buffer.concat([Buffer.of(0x16, 3, 1, 0xff, 0xff), Buffer.alloc(200_000)]),
      "a hello of 16 MB": Buffer.concat([Buffer.of(0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff), Buffer.alloc(16_380, 1)]),
      "records that are empty": Buffer.concat(Array.from({ length: 2000 }, () => Buffer.of(0x16, 3, 1, 0, 0))),
      noise: Buffer.from(Array.from({ length: 2000 }, (_, index) => (index * 7919 + 128) % 256)),
    };
    for (const [name, bytes] of Object.entries(kinds)) {
      const { socket, closed } = rawClient();
      socket.write(bytes);
      const ended = await Promise.race([closed.then(() => "closed"), Bun.sleep(12_000).then(() => "open")]);
      expect([name, ended]).toEqual([name, "closed"]);
    }
    const plain = rawClient();
    plain.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect((await plain.closed).toString()).toStartWith("HTTP/1.1 400 ");
    const modern = tlsClient(port, { ...client, ALPNProtocols: ["h2"] });
    expect(modern.secured).rejects.toThrow();
    await slowestOf(4);
    observe(
      166,
      "a byte at a time: answered; too large, empty or noise: closed; without TLS: 400; HTTP/2 alone: refused",
    );
  }, 60_000);

  test("row 167: that a client wants anew in the middle of its connection ends this connection and no other", async () => {
    const other = tlsClient(port, client);
    await other.secured;
    const caller = mountSecret(client);
    const files = ["-cert", caller.certPath, "-key", caller.keyPath];
    const child = Bun.spawn(["openssl", "s_client", "-tls1_2", ...files, "-connect", `127.0.0.1:${port}`], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    const said = child.stdout.getReader();
    await said.read();
    void child.stdin.write("R\n");
    await child.stdin.flush();
    await child.exited;
    caller[Symbol.dispose]();
    other.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await other.until("200 OK");
    other.socket.destroy();
    observe(167, "its connection is closed; a request on another one: 200");
  }, 20_000);
});

/** Serial number of the certificate that a new connection gets. */
async function serial(): Promise<string> {
  const { socket, secured } = tlsClient(port, client);
  await secured;
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

test("row 168: files of a renewed certificate that are cut, of two holders or gone: the one before stays, and the next good one is taken", async () => {
  const refusals = (): number => gateway.output.split("are not used").length - 1;
  const before = await serial();
  const bad: Readonly<Record<string, () => void>> = {
    "of two holders": () => secret.swap({ cert: first.cert, key: second.key }),
    cut: () => secret.swap({ cert: second.cert.slice(0, 300), key: second.key }),
    gone: () => rmSync(secret.keyPath),
  };
  for (const [name, harm] of Object.entries(bad)) {
    const told = refusals();
    harm();
    await eventually(() => {
      gateway.signal("SIGHUP");
      return refusals() > told;
    }, `the log says that it is ${name}`);
    expect([name, await serial()]).toEqual([name, before]);
  }
  symlinkSync(join("..data", "tls.key"), secret.keyPath);
  secret.swap(second);
  await eventually(async () => {
    gateway.signal("SIGHUP");
    return (await serial()) !== before;
  }, "the good one is taken");
  observe(
    168,
    `${Object.keys(bad).length} kinds of bad files: a line each, new connections get the certificate of before`,
  );
}, 30_000);

test("row 169: clients without a certificate, with one that has expired, or of another authority, send nothing", async () => {
  const strangers: Readonly<Record<string, object>> = {
    "without one": {},
    "with one that has expired": expired,
    "of another authority": { cert: TEST_CERT, key: TEST_KEY },
  };
  const body = JSON.stringify(chat("m"));
  const request = `POST ${CHAT.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  await unseenBy(engine, async () => {
    for (const [name, pair] of Object.entries(strangers)) {
      const stranger = tlsClient(port, pair);
      stranger.socket.write(request);
      expect([name, await stranger.closed]).toEqual([name, ""]);
    }
  });
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('pointsman_tls_handshakes_total{result="no_certificate"} 1\n');
  expect(metrics).toContain('pointsman_tls_handshakes_total{result="bad_certificate"} 2\n');
  observe(169, "three kinds of strangers: closed without an answer, 0 requests at the worker, counted by kind");
});

/** A worker with this certificate; how many requests for answers it got. */
function startTlsWorker(pair: TestPair, at = 0): { readonly port: number; readonly seen: () => number; stop(): void } {
  let seen = 0;
  const body = JSON.stringify({ object: "chat.completion", data: [{ id: "x" }], choices: [] });
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: at,
    tls: { cert: pair.cert, key: pair.key },
    socket: {
      data(socket, bytes) {
        if (bytes.toString("latin1").startsWith("POST /v1/chat")) seen += 1;
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        );
      },
    },
  });
  return { port: server.port, seen: () => seen, stop: () => server.stop(true) };
}

test("row 170: a worker whose certificate has expired, is for another name or of nobody's authority gets no request", async () => {
  const pairs: Readonly<Record<string, readonly [TestPair, string]>> = {
    expired: [expired, "has expired"],
    "for another name": [elsewhere, "is for another name"],
    "of its own authority": [{ cert: TEST_CERT, key: TEST_KEY }, "no authority that the gateway trusts"],
  };
  for (const [name, [pair, told]] of Object.entries(pairs)) {
    const worker = startTlsWorker(pair);
    const model = `m170-${name.length}`;
    const added = await post(`${gateway.url}/workers`, { url: `https://127.0.0.1:${worker.port}`, model_id: model });
    const { location } = (await added.json()) as { location: string };
    const view = async (): Promise<string> => (await fetch(gateway.url + location)).text();
    await eventually(async () => (await view()).includes(told), `the reason of ${name}`);
    const response = await send(model);
    const text = await response.text();
    expect([name, response.status, worker.seen()]).toEqual([name, 503, 0]);
    expect(text).not.toContain("certificate");
    await fetch(gateway.url + location, { method: "DELETE" });
    worker.stop();
  }
  observe(
    170,
    "three kinds of certificates: 503, 0 requests at the worker; the reason stands in the worker's view and in no answer",
  );
}, 20_000);

test("row 171: a worker that closes the connection within its handshake, or never finishes it: an error within the bounds", async () => {
  const at = freePort();
  const good = startTlsWorker(first, at);
  await using _served = await gateway.serve("m171", [`https://127.0.0.1:${at}`]);
  expect((await send("m171")).status).toBe(200);
  good.stop();
  const kinds: readonly (readonly [string, (socket: { terminate(): void; end(): void }) => void, number])[] = [
    ["closes", (socket) => socket.end(), 502],
    ["resets", (socket) => socket.terminate(), 502],
    ["is silent", () => undefined, 504],
  ];
  const seen: string[] = [];
  for (const [name, onHello, status] of kinds) {
    const bad = Bun.listen({ hostname: "127.0.0.1", port: at, socket: { data: onHello } });
    const from = performance.now();
    const response = await send("m171");
    await response.arrayBuffer();
    const ms = performance.now() - from;
    expect([name, response.status]).toEqual([name, status]);
    expect(ms).toBeLessThan(2000);
    seen.push(`${name}: ${response.status} in ${ms.toFixed(0)} ms`);
    bad.stop(true);
  }
  const again = startTlsWorker(first, at);
  await eventually(async () => (await send("m171")).status === 200, "it serves again");
  again.stop();
  observe(171, `${seen.join("; ")}; well again: 200`);
}, 30_000);

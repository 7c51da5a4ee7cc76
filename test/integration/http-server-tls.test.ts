import { describe, expect, test } from "bun:test";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { textReply } from "../../src/transport/downstream.ts";
import type { HandshakeEnd } from "../../src/transport/http1-server/tls-acceptor.ts";
import type { PortTls } from "../../src/transport/tls/server-tls.ts";
import { echo, startHttpServer, streamReply } from "../support/http-server.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { eventually } from "../faults/observe.ts";
import { TEST_CA, TEST_CERT, TEST_KEY, TEST_PAIRS } from "../support/tls.ts";
import { type TlsClient, tlsClient } from "../support/tls-client.ts";

const FIRST: PortTls = { pair: TEST_PAIRS.first, clientCa: undefined, minVersion: "1.2" };
const SECOND: PortTls = { ...FIRST, pair: TEST_PAIRS.second };
const MUTUAL: PortTls = { ...FIRST, clientCa: TEST_CA };
const GET = "GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n";

/** A plain connection that counts as a client whose handshake never goes on. */
function silentClient(port: number): { readonly closed: Promise<void>; send(bytes: string | Buffer): void } {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => undefined);
  return {
    closed: new Promise((resolve) => {
      socket.on("close", () => resolve());
      socket.resume();
    }),
    send: (bytes) => void socket.write(bytes),
  };
}

function serialOf({ socket }: TlsClient): string {
  return socket.getPeerCertificate().serialNumber;
}

describe("a port with TLS", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`speaks ${version} and says http/1.1 in ALPN`, async () => {
      using started = startHttpServer(echo, { tls: FIRST });
      const client = tlsClient(started.server.port, {
        minVersion: version,
        maxVersion: version,
        ALPNProtocols: ["h2", "http/1.1"],
      });
      await client.secured;
      client.socket.write(GET);
      expect(await client.until("GET /hello")).toStartWith("HTTP/1.1 200 OK\r\n");
      expect([client.socket.getProtocol(), client.socket.alpnProtocol]).toEqual([version, "http/1.1"]);
      client.socket.end();
      await client.closed;
    });
  }

  test("serves a client that names no protocol and no server, or one that nobody knows", async () => {
    using started = startHttpServer(echo, { tls: FIRST });
    for (const servername of ["", "unknown.test", "a".repeat(250)]) {
      const client = tlsClient(started.server.port, { servername, checkServerIdentity: () => undefined });
      client.socket.write(GET);
      expect(await client.until("GET /hello")).toStartWith("HTTP/1.1 200 OK\r\n");
      client.socket.destroy();
    }
  });

  test("refuses a client that speaks HTTP/2 alone", async () => {
    using started = startHttpServer(echo, { tls: FIRST });
    const client = tlsClient(started.server.port, { ALPNProtocols: ["h2"] });
    expect(await client.secured.catch(String)).toContain("NO_APPLICATION_PROTOCOL");
  });

  test("refuses TLS 1.2 where 1.3 is the oldest version", async () => {
    using started = startHttpServer(echo, { tls: { ...FIRST, minVersion: "1.3" } });
    const old = tlsClient(started.server.port, { maxVersion: "TLSv1.2" });
    expect(await old.secured.catch(String)).toContain("PROTOCOL_VERSION");
    const current = tlsClient(started.server.port);
    current.socket.write(GET);
    await current.until("GET /hello");
    current.socket.destroy();
  });

  test("answers a request without TLS with 400, and says what to do", async () => {
    using started = startHttpServer(() => textReply("never"), { tls: FIRST });
    const response = await fetch(`http://127.0.0.1:${started.server.port}/hello`);
    expect([response.status, response.headers.get("connection")]).toEqual([400, "close"]);
    expect(started.refused).toEqual(["malformed_request"]);
  });

  test("closes the connection of a client that sends no handshake, and serves the next one", async () => {
    const ends: HandshakeEnd[] = [];
    using started = startHttpServer(echo, { tls: FIRST, onHandshake: (end) => ends.push(end) });
    for (const bytes of [
      Buffer.alloc(600, 0),
      Buffer.from("\u0016\u0003\u0001\u00ff\u00ffgarbage".repeat(4000), "latin1"),
    ]) {
      const client = silentClient(started.server.port);
      client.send(bytes);
      await client.closed;
    }
    const client = tlsClient(started.server.port);
    client.socket.write(GET);
    await client.until("GET /hello");
    client.socket.destroy();
    expect(ends).toEqual(["malformed", "malformed", "ok"]);
    expect(started.server.connections).toBeLessThanOrEqual(1);
  });

  test("reads a large body and writes a large answer", async () => {
    const body = "x".repeat(8_000_000);
    using started = startHttpServer(echo, { tls: FIRST });
    const client = tlsClient(started.server.port);
    client.socket.write(
      `POST /big HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    const text = await client.closed;
    expect(text.length).toBeGreaterThan(body.length);
    expect(text.endsWith("xxx")).toBe(true);
  });

  test("holds back a stream whose client does not read", async () => {
    let written = 0;
    const piece = Buffer.alloc(65_536, "y");
    const held = Promise.withResolvers<void>();
    using started = startHttpServer(
      () =>
        streamReply(async (sink) => {
          for (; written < 64 * 1_048_576; written += piece.length) {
            const room = sink.write(piece);
            if (!room) continue;
            held.resolve();
            await room;
          }
        }),
      { tls: FIRST },
    );
    const client = tlsClient(started.server.port);
    await client.secured;
    client.socket.pause();
    client.socket.write(GET);
    await held.promise;
    expect(written).toBeLessThan(32 * 1_048_576);
    client.socket.destroy();
  });

  test("lets pipelined requests be answered in order", async () => {
    using started = startHttpServer(echo, { tls: FIRST });
    const client = tlsClient(started.server.port);
    client.socket.write([1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nhost: localhost\r\n\r\n`).join(""));
    const text = await client.until("GET /3");
    expect(text.match(/GET \/\d/g)).toEqual(["GET /1", "GET /2", "GET /3"]);
    client.socket.destroy();
  });

  test("sees that a client leaves in the middle of a stream", async () => {
    const left = Promise.withResolvers<void>();
    using started = startHttpServer(
      (request) => {
        request.signal.addEventListener("abort", { handleEvent: () => left.resolve() });
        return streamReply(async (sink) => {
          void sink.write(Buffer.from("begun"));
          await left.promise;
        });
      },
      { tls: FIRST },
    );
    const client = tlsClient(started.server.port);
    client.socket.write(GET);
    await client.until("begun");
    client.socket.destroy();
    await left.promise;
  });
});

describe("an answer over TLS", () => {
  /** The raw bytes that end a connection: whether the TLS alert that tells of the end came before the socket's own end. */
  async function endOf(client: TlsClient): Promise<"told" | "cut"> {
    // Node ends the readable side at the alert, and reports an error where the socket ends without it or is reset.
    const { promise, resolve } = Promise.withResolvers<"told" | "cut">();
    client.socket.on("end", () => resolve("told"));
    client.socket.on("error", () => resolve("cut"));
    client.socket.on("close", () => resolve("cut"));
    return promise;
  }

  test("whose end only the close of the connection tells ends with TLS's own word for it", async () => {
    using started = startHttpServer(() => streamReply(async (sink) => void sink.write(Buffer.from("all of it"))), {
      tls: FIRST,
    });
    const client = tlsClient(started.server.port);
    const end = endOf(client);
    client.socket.write("GET / HTTP/1.0\r\n\r\n");
    expect([await client.until("all of it"), await end]).toEqual([expect.stringContaining("all of it"), "told"]);
  });
});

describe("handshakes", () => {
  test("that are not finished in 10 s are given up", async () => {
    const clock = new ManualClock();
    const ends: HandshakeEnd[] = [];
    using started = startHttpServer(echo, { tls: FIRST, clock, onHandshake: (end) => ends.push(end) });
    const client = silentClient(started.server.port);
    await eventually(() => started.server.connections === 1, "one connection");
    clock.advance(9000);
    expect(started.server.connections).toBe(1);
    clock.advance(1500);
    await client.closed;
    expect([ends, started.server.connections]).toEqual([["timeout"], 0]);
  });

  test("are not given up because the process stood still", async () => {
    // Its timers come late after that, one of each kind.
    let elapsedMs = 0;
    const due: (() => void)[] = [];
    const clock = {
      now: () => elapsedMs,
      recent: () => elapsedMs,
      after: (_delayMs: number, action: () => void) => {
        due.push(action);
        return () => undefined;
      },
    };
    using started = startHttpServer(echo, { tls: FIRST, clock });
    const up = connectTcp(started.server.port, "127.0.0.1");
    await eventually(() => started.server.unfinished === 1, "it has begun");
    elapsedMs = 60_000;
    for (const action of due.splice(0)) action();
    expect(started.server.unfinished).toBe(1);
    const socket = connectTls({ socket: up, servername: "localhost", ca: TEST_CA });
    const text = new Promise((resolve) => socket.once("data", (bytes: Buffer) => resolve(bytes.toString("latin1"))));
    socket.write(GET);
    expect(await text).toStartWith("HTTP/1.1 200 OK");
    socket.destroy();
  });

  test("take at most half of the places: the oldest makes room for the next", async () => {
    const ends: HandshakeEnd[] = [];
    using started = startHttpServer(echo, {
      tls: FIRST,
      maxConnections: () => 8,
      onHandshake: (end) => ends.push(end),
    });
    const silent = [];
    for (let count = 1; count <= 4; count += 1) {
      silent.push(silentClient(started.server.port));
      await eventually(() => started.server.connections === count, "the connection");
    }
    const client = tlsClient(started.server.port);
    client.socket.write(GET);
    await client.until("GET /hello");
    await silent[0]?.closed;
    expect([ends, started.server.connections]).toEqual([["crowded_out", "ok"], 4]);
    client.socket.destroy();
  });

  test("are not begun with an address that has as many connections as it may have", async () => {
    using started = startHttpServer(echo, { tls: FIRST, maxPerAddress: 1 });
    const first = tlsClient(started.server.port);
    await first.secured;
    const second = tlsClient(started.server.port);
    expect(await second.secured.catch(() => "refused")).toBe("refused");
    expect(started.refused).toEqual(["too_many_connections"]);
    first.socket.destroy();
    await eventually(() => started.server.connections === 0, "no connection");
    const third = tlsClient(started.server.port);
    await third.secured;
    third.socket.destroy();
  });

  test("under way go on when the port accepts nobody any more, and their clients are answered", async () => {
    using started = startHttpServer(echo, { tls: FIRST });
    const up = connectTcp(started.server.port, "127.0.0.1");
    await eventually(() => started.server.unfinished === 1, "it has begun");
    started.server.beginToLeave();
    started.server.stopListening();
    const socket = connectTls({ socket: up, servername: "localhost", ca: TEST_CA });
    socket.write(GET);
    let text = "";
    socket.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
    await new Promise((resolve) => socket.on("close", resolve));
    expect(text).toContain("GET /hello");
    expect(text.toLowerCase()).toContain("connection: close");
    expect(started.server.unfinished).toBe(0);
  });

  test("of clients that do not know the authority are counted as refused by the client", async () => {
    const ends: HandshakeEnd[] = [];
    using started = startHttpServer(echo, { tls: FIRST, onHandshake: (end) => ends.push(end) });
    for (const version of ["1.2", "1.3"]) {
      await Bun.spawn(["curl", "-s", "--tls-max", version, `https://127.0.0.1:${started.server.port}/`]).exited;
    }
    await eventually(() => ends.length === 2, "two handshakes that end");
    expect(ends).toEqual(["client_refused", "client_refused"]);
  });
});

describe("a port that wants certificates of its clients", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`serves those that have one of the authority, and nobody else, with ${version}`, async () => {
      const ends: HandshakeEnd[] = [];
      using started = startHttpServer(echo, { tls: MUTUAL, onHandshake: (end) => ends.push(end) });
      const only = { minVersion: version, maxVersion: version };
      const good = tlsClient(started.server.port, { ...only, ...TEST_PAIRS.client });
      good.socket.write(GET);
      await good.until("GET /hello");
      good.socket.destroy();
      const strangers = [{}, { cert: TEST_CERT, key: TEST_KEY }, TEST_PAIRS.expired];
      for (const stranger of strangers) {
        const client = tlsClient(started.server.port, { ...only, ...stranger });
        client.socket.write(GET);
        expect(await client.closed).toBe("");
      }
      expect(ends).toEqual(["ok", "no_certificate", "bad_certificate", "bad_certificate"]);
    });
  }

  test("takes a session up again only for a client that showed one", async () => {
    using started = startHttpServer(echo, { tls: MUTUAL });
    const first = tlsClient(started.server.port, TEST_PAIRS.client);
    const sessions: Buffer[] = [];
    first.socket.on("session", (session: Buffer) => sessions.push(session));
    first.socket.write(GET);
    await first.until("GET /hello");
    await eventually(() => sessions.length > 0, "a session");
    first.socket.destroy();
    const again = tlsClient(started.server.port, { ...TEST_PAIRS.client, session: sessions.at(-1) });
    again.socket.write(GET);
    await again.until("GET /hello");
    again.socket.destroy();
    const stranger = tlsClient(started.server.port);
    stranger.socket.write(GET);
    expect(await stranger.closed).toBe("");
  });

  test("takes no session up again that was begun under other authorities", async () => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      using started = startHttpServer(echo, { tls: MUTUAL });
      const first = tlsClient(started.server.port, { ...TEST_PAIRS.client, maxVersion });
      const sessions: Buffer[] = [];
      first.socket.on("session", (session: Buffer) => sessions.push(session));
      first.socket.write(GET);
      await first.until("GET /hello");
      await eventually(() => sessions.length > 0, "a session");
      first.socket.destroy();
      const session = sessions.at(-1);
      const again = tlsClient(started.server.port, { ...TEST_PAIRS.client, maxVersion, session });
      await again.secured;
      expect(again.socket.isSessionReused()).toBe(true);
      again.socket.destroy();
      started.server.replaceCertificate({ ...MUTUAL, clientCa: TEST_PAIRS.named.cert });
      const late = tlsClient(started.server.port, { ...TEST_PAIRS.client, maxVersion, session });
      late.socket.write(GET);
      expect(await late.closed).toBe("");
    }
  });
});

describe("a certificate that is replaced", () => {
  test("is the next connection's, and not one of a thousand open streams ends", async () => {
    const STREAMS = 1000;
    const release = Promise.withResolvers<void>();
    using started = startHttpServer(
      () =>
        streamReply(async (sink) => {
          void sink.write(Buffer.from("first half, "));
          await release.promise;
          void sink.write(Buffer.from("second half"));
        }),
      { tls: FIRST },
    );
    const clients: TlsClient[] = [];
    while (clients.length < STREAMS) {
      const batch = Array.from({ length: 50 }, () => tlsClient(started.server.port));
      for (const client of batch) client.socket.write(GET);
      await Promise.all(batch.map((client) => client.until("first half")));
      clients.push(...batch);
    }
    const [before] = clients.map(serialOf);
    started.server.replaceCertificate(SECOND);
    const next = tlsClient(started.server.port);
    next.socket.write(GET);
    await next.until("first half");
    expect(serialOf(next)).not.toBe(before ?? "");
    release.resolve();
    const ended = await Promise.all([...clients, next].map((client) => client.until("0\r\n\r\n")));
    expect(ended.filter((text) => text.includes("second half"))).toHaveLength(STREAMS + 1);
    for (const client of [...clients, next]) client.socket.destroy();
  });

  test("leaves an open connection its own", async () => {
    using started = startHttpServer(echo, { tls: FIRST });
    const client = tlsClient(started.server.port);
    client.socket.write(GET);
    await client.until("GET /hello");
    started.server.replaceCertificate(SECOND);
    client.socket.write(GET.replace("hello", "again"));
    await client.until("GET /again");
    client.socket.destroy();
  });

  test("ends the connections of clients of another authority with their answers", async () => {
    const release = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    using started = startHttpServer(
      async (request) => {
        if (request.path === "/slow") {
          begun.resolve();
          await release.promise;
        }
        return echo(request);
      },
      { tls: MUTUAL },
    );
    const idle = tlsClient(started.server.port, TEST_PAIRS.client);
    idle.socket.write(GET);
    await idle.until("GET /hello");
    const busy = tlsClient(started.server.port, TEST_PAIRS.client);
    busy.socket.write(GET.replace("hello", "slow"));
    await begun.promise;
    const silent = silentClient(started.server.port);
    await eventually(() => started.server.connections === 3, "three connections");
    started.server.replaceCertificate({ ...MUTUAL, clientCa: TEST_CERT });
    await Promise.all([idle.closed, silent.closed]);
    release.resolve();
    expect(await busy.closed).toContain("GET /slow");
    const next = tlsClient(started.server.port, TEST_PAIRS.client);
    next.socket.write(GET);
    expect(await next.closed).toBe("");
  });
});

import { describe, expect, test } from "bun:test";
import { failureOf } from "../../../test/support/failure-of.ts";
import { asGatewayError } from "../../errors/errors.ts";
import type { UpstreamRequest } from "../upstream.ts";
import type { WorkerTlsOptions } from "../tls/worker-tls.ts";
import { Connection } from "./connection.ts";
import { Exchange } from "./exchange.ts";

const HEAD = "POST / HTTP/1.1\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** A socket whose system takes `room` bytes and then no more. */
class PlayedSocket {
  room = Number.POSITIVE_INFINITY;
  sent = "";
  writes = 0;
  readonly told: string[] = [];

  write(bytes: Uint8Array, from: number, length: number): number {
    this.writes += 1;
    const taken = Math.min(this.room, length);
    this.room -= taken;
    this.sent += Buffer.from(bytes.subarray(from, from + taken)).toString("latin1");
    return taken;
  }

  pause(): void {
    this.told.push("pause");
  }

  resume(): void {
    this.told.push("resume");
  }

  terminate(): void {
    this.told.push("terminate");
  }
}

interface Played {
  readonly connection: Connection;
  readonly socket: PlayedSocket;
  /** What the owner was told, in its order. */
  readonly told: string[];
}

function create(tls?: WorkerTlsOptions): Played {
  const told: string[] = [];
  const connection = new Connection(tls, {
    now: () => 0,
    recent: () => 7,
    idle: () => told.push("idle"),
    pauseReads: (_connection, ms) => told.push(`pause ${ms} ms`),
    outOfStep: () => told.push("out of step"),
    gone: () => told.push("gone"),
  });
  return { connection, socket: new PlayedSocket(), told };
}

function open(tls?: WorkerTlsOptions): Played {
  const played = create(tls);
  played.connection.opened(played.socket);
  if (tls) played.connection.handshaken(null);
  return played;
}

function ask({ connection }: Played, body?: string): Exchange {
  const request: UpstreamRequest = {
    origin: "http://worker:1",
    method: "POST",
    path: "/",
    headers: "",
    body: body === undefined ? undefined : Buffer.from(body),
    timeouts: { connectMs: 1000, firstByteMs: 5000, idleMs: 2000 },
    deadline: 60_000,
  };
  const exchange = new Exchange(request, undefined);
  exchange.head.catch(() => undefined);
  connection.start(exchange, HEAD, 0);
  return exchange;
}

function receive({ connection }: Played, text: string): void {
  connection.received(Buffer.from(text));
}

/** How the answer ends: its bytes, or the code of its error. */
async function endOf(exchange: Exchange): Promise<string> {
  try {
    await exchange.head;
    return Buffer.from(await exchange.bytes(1000)).toString();
  } catch (thrown) {
    return asGatewayError(thrown).code;
  }
}

describe("a connection is ready", () => {
  test("when its socket is open", async () => {
    const { connection } = open();
    expect(await failureOf(connection.ready)).toBeUndefined();
  });

  test("under TLS only when the worker's certificate was accepted", async () => {
    const { connection, socket } = create({ rejectUnauthorized: true });
    let isReady = false;
    void connection.ready.then(() => (isReady = true));
    connection.opened(socket);
    await Promise.resolve();
    expect(isReady).toBe(false);
    connection.handshaken(null);
    await connection.ready;
    expect(isReady).toBe(true);
  });

  test("and not with a certificate that is not accepted, unless it is not to be looked at", async () => {
    const wrong = Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    const checked = create({ rejectUnauthorized: true });
    checked.connection.opened(checked.socket);
    checked.connection.handshaken(wrong);
    expect(await failureOf(checked.connection.ready)).toBeInstanceOf(Error);
    expect([checked.socket.told, checked.told]).toEqual([["terminate"], ["gone"]]);

    const unchecked = create({ rejectUnauthorized: false });
    unchecked.connection.handshaken(wrong);
    expect(await failureOf(unchecked.connection.ready)).toBeUndefined();
  });

  test("and not when it ends before, and its owner hears of that once", async () => {
    const { connection, told } = create();
    connection.ended();
    connection.broke(new Error("reset"));
    connection.close();
    expect(await failureOf(connection.ready)).toBeInstanceOf(Error);
    expect(told).toEqual(["gone"]);
  });

  test("and closes a socket that opens when nobody wants it any more", () => {
    const { connection, socket } = create();
    connection.close();
    connection.opened(socket);
    expect(socket.told).toEqual(["terminate"]);
  });
});

describe("a request", () => {
  test("of a few bytes leaves in one write", () => {
    const played = open();
    ask(played, "{}");
    expect([played.socket.sent, played.socket.writes]).toEqual([`${HEAD}{}`, 1]);
  });

  for (const size of [10, 100_000]) {
    for (const room of [0, 5, HEAD.length, HEAD.length + 7]) {
      test(`of ${size} bytes of which the system takes ${room} leaves byte for byte, whatever is written elsewhere meanwhile`, () => {
        const played = open();
        const body = "0123456789".repeat(size / 10);
        played.socket.room = room;
        ask(played, body);
        // Small requests of all connections are put together in the same memory.
        ask(open(), "x".repeat(50));
        for (let rounds = 0; played.socket.sent.length < HEAD.length + size && rounds < 20; rounds += 1) {
          played.socket.room = 30_000;
          played.connection.drained();
        }
        expect(played.socket.sent).toBe(HEAD + body);
      });
    }
  }

  test("that was answered before all of it has left ends its connection", async () => {
    const played = open();
    played.socket.room = 30;
    const exchange = ask(played, "a".repeat(100));
    receive(played, ANSWER);
    expect(await endOf(exchange)).toBe("ok");
    expect([played.socket.told, played.told]).toEqual([["terminate"], ["gone"]]);
  });

  test("may follow another one that was answered, on the same socket", async () => {
    const played = open();
    for (let count = 0; count < 3; count += 1) {
      const exchange = ask(played);
      expect(played.connection.isIdle).toBe(false);
      receive(played, ANSWER);
      expect(await endOf(exchange)).toBe("ok");
      expect([played.connection.isIdle, played.connection.idleSince]).toEqual([true, 7]);
    }
    expect(played.told).toEqual(["idle", "idle", "idle"]);
  });
});

describe("bytes that nobody asked for", () => {
  test("close the connection, and the worker's answers are no longer trusted", () => {
    const played = open();
    ask(played);
    receive(played, ANSWER);
    receive(played, ANSWER);
    expect([played.told, played.socket.told]).toEqual([["idle", "gone", "out of step"], ["terminate"]]);
  });

  test("that say that the worker has waited long enough close it, and are no answer", () => {
    const played = open();
    ask(played);
    receive(played, ANSWER);
    receive(played, "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
    expect(played.told).toEqual(["idle", "gone"]);
  });
});

describe("a connection that the worker ends or breaks", () => {
  const RESET = Object.assign(new Error("reset"), { code: "ECONNRESET" });
  const WITHIN_HEAD = "HTTP/1.1 200 OK\r\ncontent-";
  const HINTS = "HTTP/1.1 103 Early Hints\r\n\r\n";
  const WITHIN_BODY = ANSWER.slice(0, -1);
  const TO_THE_END = "HTTP/1.1 200 OK\r\n\r\nok";
  /** What has come of the answer, and how it ends: by FIN, by FIN under TLS, by RST. Before the head the request may be sent again. */
  const ENDS: readonly (readonly [came: string, fin: string, tlsFin: string, reset: string])[] = [
    ["", "upstream_closed", "upstream_closed", "upstream_closed"],
    [HINTS, "upstream_closed", "upstream_closed", "upstream_closed"],
    [WITHIN_HEAD, "upstream_closed", "upstream_closed", "upstream_closed"],
    [WITHIN_BODY, "upstream_truncated", "upstream_truncated", "upstream_reset"],
    [TO_THE_END, "ok", "upstream_truncated", "upstream_reset"],
  ];

  for (const [came, fin, tlsFin, reset] of ENDS) {
    const shown = came === "" ? "before the answer" : `behind ${JSON.stringify(came)}`;
    test(`${shown}: ${fin}, under TLS ${tlsFin}, broken ${reset}`, async () => {
      const [ended, secured, broken] = [open(), open({ rejectUnauthorized: true }), open()];
      const exchanges = [ended, secured, broken].map((played) => {
        const exchange = ask(played);
        if (came !== "") receive(played, came);
        return exchange;
      });
      ended.connection.ended();
      secured.connection.ended();
      broken.connection.broke(RESET);
      expect(await Promise.all(exchanges.map(endOf))).toEqual([fin, tlsFin, reset]);
      expect([ended, secured, broken].map(({ told }) => told)).toEqual([["gone"], ["gone"], ["gone"]]);
    });
  }

  for (const end of ["ended", "broke"] as const) {
    test(`as the next request goes out (${end}) was stale, unless a byte of the answer has come`, async () => {
      for (const [came, code] of [
        ["", "upstream_stale_socket"],
        [HINTS, "upstream_closed"],
      ] as const) {
        const played = open();
        ask(played);
        receive(played, ANSWER);
        const second = ask(played);
        if (came !== "") receive(played, came);
        played.connection[end](RESET);
        expect(await endOf(second)).toBe(code);
      }
    });
  }

  test("while it is idle tells its owner, and nobody else", () => {
    const played = open();
    ask(played);
    receive(played, ANSWER);
    played.connection.ended();
    expect([played.told, played.connection.isGone]).toEqual([["idle", "gone"], true]);
  });

  test("whose first request it refuses by an alert of TLS 1.3 was never reached", async () => {
    const played = open({ rejectUnauthorized: true });
    const exchange = ask(played);
    const alert = "error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED";
    played.connection.broke(Object.assign(new Error(alert), { code: "EPROTO" }));
    expect(await endOf(exchange)).toBe("upstream_connect_failed");
  });
});

describe("a connection is read", () => {
  test("again after a short pause, unless its reader is slow; then when that one goes on", () => {
    const { connection, socket, told } = open();
    connection.pauseReads(4);
    connection.pauseOver();
    expect(socket.told).toEqual(["pause", "resume"]);
    connection.pauseReads(4);
    connection.pause();
    connection.pauseOver();
    expect(socket.told.slice(2)).toEqual(["pause", "pause"]);
    connection.resume();
    expect([socket.told.at(-1), told]).toEqual(["resume", ["pause 4 ms", "pause 4 ms"]]);
  });

  test("not before the pause is over, where the reader goes on within it", () => {
    const { connection, socket } = open();
    connection.pauseReads(1);
    connection.pause();
    connection.resume();
    expect(socket.told).toEqual(["pause", "pause"]);
    connection.pauseOver();
    expect(socket.told.at(-1)).toBe("resume");
  });

  test("has one pause at a time, and none while its reader is slow", () => {
    const { connection, told } = open();
    connection.pauseReads(1);
    connection.pauseReads(4);
    expect(told).toEqual(["pause 1 ms"]);
    connection.pauseOver();
    connection.pause();
    connection.pauseReads(1);
    expect(told).toEqual(["pause 1 ms"]);
  });
});

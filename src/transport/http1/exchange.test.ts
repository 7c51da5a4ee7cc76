import { describe, expect, test } from "bun:test";
import { failureOf } from "../../../test/support/failure-of.ts";
import { asGatewayError } from "../../errors/errors.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import type { UpstreamRequest } from "../upstream.ts";
import { Exchange } from "./exchange.ts";

const REQUEST: UpstreamRequest = {
  origin: "http://worker:1",
  method: "POST",
  path: "/v1/chat/completions",
  headers: "",
  body: undefined,
  timeouts: { connectMs: 1000, firstByteMs: 5000, idleMs: 2000 },
  deadline: 60_000,
};
const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

interface Played {
  readonly exchange: Exchange;
  readonly signal: LeaveController;
  /** What was asked of the connection, in its order. */
  readonly told: string[];
  now: number;
  receive(text: string): void;
}

/** An exchange that is on its way at the time 0. */
function begin(request: Partial<UpstreamRequest> = {}): Played {
  const signal = new LeaveController();
  const exchange = new Exchange({ ...REQUEST, ...request }, signal);
  // A test looks at it only where it is about it.
  exchange.head.catch(() => undefined);
  const told: string[] = [];
  const played: Played = { exchange, signal, told, now: 0, receive: (text) => exchange.receive(Buffer.from(text)) };
  exchange.started(
    {
      now: () => played.now,
      pause: () => told.push("pause"),
      resume: () => told.push("resume"),
      pauseReads: (ms) => told.push(`pause ${ms} ms`),
      release: (reusable) => told.push(reusable ? "release" : "close"),
      outOfStep: () => told.push("out of step"),
      closeIfIdle: () => told.push("close if idle"),
    },
    0,
  );
  return played;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return asGatewayError(await failureOf(promise)).code;
}

/** The error that the next read ends with. */
function errorOf(exchange: Exchange): Promise<string> {
  return codeOf(Promise.resolve(exchange.read()));
}

async function textOf(exchange: Exchange): Promise<string> {
  return Buffer.from(await exchange.bytes(1_000_000)).toString();
}

describe("an answer", () => {
  test("that is whole lets its connection go on", async () => {
    const { exchange, told, receive } = begin();
    receive(`${HEAD}${chunk("one")}`);
    expect((await exchange.head).status).toBe(200);
    receive(`${chunk("two")}0\r\n\r\n`);
    expect([await textOf(exchange), told]).toEqual(["onetwo", ["release"]]);
  });

  const LAST: Readonly<Record<string, { readonly answer: string; readonly request?: Partial<UpstreamRequest> }>> = {
    "that says close": { answer: "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" },
    "of HTTP/1.0": { answer: "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n" },
    "to the last request of its socket": {
      answer: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
      request: { isLast: true },
    },
  };
  for (const [name, { answer, request }] of Object.entries(LAST)) {
    test(`${name} ends its connection`, () => {
      const { told, receive } = begin(request);
      receive(answer);
      expect(told).toEqual(["close"]);
    });
  }

  test("with bytes behind it is itself, and its connection is out of step", async () => {
    const { exchange, told, receive } = begin();
    receive(`${HEAD}0\r\n\r\nHTTP/1.1 200 OK\r\n`);
    expect([await textOf(exchange), told]).toEqual(["", ["out of step", "close"]]);
  });

  test("to HEAD has no body, whatever length it tells", async () => {
    const { exchange, told, receive } = begin({ method: "HEAD" });
    receive("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    expect([await textOf(exchange), told]).toEqual(["", ["release"]]);
  });

  test("that is not HTTP is an error, and ends its connection", async () => {
    const { exchange, told, receive } = begin();
    receive("SSH-2.0-x\r\n");
    expect([await codeOf(exchange.head), told]).toEqual(["upstream_protocol_error", ["close"]]);
  });

  test("whose chunks are wrong within has what came before, and then the error", async () => {
    const { exchange, told, receive } = begin();
    receive(HEAD + chunk("one"));
    receive("zz\r\n");
    expect(Buffer.from((await exchange.read()) ?? []).toString()).toBe("one");
    expect(await errorOf(exchange)).toBe("upstream_protocol_error");
    expect(told).toEqual(["close"]);
  });

  test("that is larger than it may be is given up", async () => {
    const { exchange, told, receive } = begin();
    receive(HEAD + chunk("a".repeat(100)));
    expect(await codeOf(Promise.resolve(exchange.bytes(99)))).toBe("invalid_upstream_response");
    expect(told).toEqual(["close"]);
  });

  test("is not taken further once it was given up", async () => {
    const { exchange, told, receive } = begin();
    receive(HEAD + chunk("one"));
    exchange.discard();
    receive(`${chunk("two")}0\r\n\r\n`);
    expect(told).toEqual(["close"]);
    expect(await errorOf(exchange)).toBe("client_closed");
  });

  test("that turns out to be wrong after its end closes what it came on, if nothing else is asked there", () => {
    const { exchange, told, receive } = begin();
    receive(`${HEAD}0\r\n\r\n`);
    exchange.discard();
    expect(told).toEqual(["release", "close if idle"]);
  });
});

describe("a client that leaves", () => {
  test("before the head ends the exchange", async () => {
    const { exchange, signal, told } = begin();
    signal.leave(undefined);
    expect([await codeOf(exchange.head), told]).toEqual(["client_closed", ["close"]]);
  });

  test("within the answer ends it", async () => {
    const { exchange, signal, told, receive } = begin();
    receive(HEAD + chunk("one"));
    await exchange.read();
    const next = errorOf(exchange);
    signal.leave(undefined);
    expect([await next, told]).toEqual(["client_closed", ["close"]]);
  });

  test("after its end changes nothing: the connection may have another request", () => {
    const { signal, told, receive } = begin();
    receive(`${HEAD}0\r\n\r\n`);
    signal.leave(undefined);
    expect(told).toEqual(["release"]);
  });
});

describe("the time", () => {
  test("of a worker that does not begin is up, also where it sends informational answers and parts of a head", async () => {
    const { exchange, told, receive } = begin();
    exchange.checkDeadlines(4900);
    receive("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200");
    exchange.checkDeadlines(4999);
    expect(told).toEqual([]);
    exchange.checkDeadlines(5000);
    expect([await codeOf(exchange.head), told]).toEqual(["upstream_timeout", ["close"]]);
  });

  test("of one that falls silent is up, counted from its last byte", async () => {
    const { exchange, told, receive } = begin();
    receive(HEAD);
    exchange.checkDeadlines(4000);
    receive(chunk("one"));
    exchange.checkDeadlines(5900);
    exchange.checkDeadlines(7899);
    expect(told).toEqual([]);
    exchange.checkDeadlines(7900);
    await exchange.read();
    expect(await errorOf(exchange)).toBe("upstream_stalled");
  });

  test("of the request is up whatever comes", async () => {
    const { exchange, receive } = begin({ deadline: 3000 });
    receive(HEAD + chunk("one"));
    exchange.checkDeadlines(3000);
    await exchange.read();
    expect(await errorOf(exchange)).toBe("upstream_timeout");
  });

  test("of a worker that is not read stands still, and begins anew when it is read again", async () => {
    const { exchange, told, receive } = begin();
    receive(HEAD + chunk("a".repeat(70_000)));
    exchange.checkDeadlines(100);
    // The client takes nothing for much longer than a worker may be silent.
    for (let now = 200; now <= 30_000; now += 100) exchange.checkDeadlines(now);
    expect(told).toEqual(["pause"]);
    await exchange.read();
    expect(told).toEqual(["pause", "resume"]);
    // Nothing is there yet: the worker has only now been told to go on.
    exchange.checkDeadlines(30_100);
    receive(`${chunk("b")}0\r\n\r\n`);
    expect([await textOf(exchange), told.at(-1)]).toEqual(["b", "release"]);
  });
});

describe("who follows an answer", () => {
  /** Takes so many pieces and then no more. */
  function taker(most: number): {
    readonly taken: string[];
    take(bytes: Uint8Array, from: number, to: number): boolean;
  } {
    const taken: string[] = [];
    return {
      taken,
      take(bytes, from, to) {
        taken.push(Buffer.from(bytes.subarray(from, to)).toString());
        return taken.length < most;
      },
    };
  }

  test("gets what waits and then each piece as it comes, up to the end", async () => {
    const { exchange, receive } = begin();
    const all = taker(9);
    receive(HEAD + chunk("one"));
    const following = exchange.follow(all);
    receive(chunk("two"));
    receive("0\r\n\r\n");
    await following;
    expect(all.taken).toEqual(["one", "two"]);
    expect(exchange.read()).toBeUndefined();
  });

  test("and wants no more leaves the rest to who reads", async () => {
    const { exchange, receive } = begin();
    const one = taker(1);
    receive(HEAD);
    const following = exchange.follow(one);
    receive(chunk("one"));
    await following;
    receive(`${chunk("two")}0\r\n\r\n`);
    expect([one.taken, await textOf(exchange)]).toEqual([["one"], "two"]);
  });

  test("hears of the end where it fails, and who reads then of the failure", async () => {
    const { exchange, receive } = begin();
    const all = taker(9);
    receive(HEAD);
    const following = exchange.follow(all);
    receive(chunk("one"));
    exchange.closed(true);
    await following;
    expect(await errorOf(exchange)).toBe("upstream_truncated");
  });

  test("has a fast stream in fewer pieces, and a slow one as it comes", () => {
    const played = begin();
    played.receive(HEAD);
    void played.exchange.follow(taker(99));
    for (let count = 0; count < 6; count += 1) {
      played.now += 100;
      played.receive(chunk("slow"));
    }
    expect(played.told).toEqual([]);
    for (let count = 0; count < 6; count += 1) {
      played.now += 1;
      played.receive(chunk("fast"));
    }
    expect(played.told).toContain("pause 1 ms");
  });
});

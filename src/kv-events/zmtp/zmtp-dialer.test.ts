import { expect, test } from "bun:test";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import type { Tcp, TcpEvents, TcpSocket } from "./tcp.ts";
import { command, greeting, message } from "./zmtp-frames.ts";
import { ZmtpDialer } from "./zmtp-dialer.ts";

/** A connection as the network of a test sees it. */
interface Dialed {
  readonly events: TcpEvents;
  readonly written: string[];
  isClosed: boolean;
  isPaused: boolean;
  open(): void;
}

function setUp() {
  const clock = new ManualClock();
  const dialed: Dialed[] = [];
  const seen: string[] = [];
  const tcp: Tcp = {
    connect(_address, events) {
      const one: Dialed = { events, written: [], isClosed: false, isPaused: false, open: () => events.onOpen(socket) };
      const socket: TcpSocket = {
        write: (bytes) => void one.written.push(Buffer.from(bytes).toString("latin1")),
        pause: () => (one.isPaused = true),
        resume: () => (one.isPaused = false),
        close: () => (one.isClosed = true),
      };
      dialed.push(one);
    },
    listen: () => ({ [Symbol.dispose]: () => undefined }),
  };
  const dialer = new ZmtpDialer(
    { hostname: "w", port: 5557 },
    { type: "SUB", topics: [""], maxMessageBytes: 1000, ttlMs: 60_000 },
    { tcp, clock, random: () => 0 },
    {
      onUp: () => void seen.push("up"),
      onMessage: (frames) => void seen.push(frames.join(",")),
      onDown: (reason) => void seen.push(`down: ${reason}`),
    },
  );
  const last = (): Dialed => dialed.at(-1) ?? never();
  /** Ends the handshake of the last connection. */
  const shake = (minor = 1): void => {
    const hello = greeting();
    hello[11] = minor;
    last().open();
    last().events.onData(hello);
    last().events.onData(command("READY", Buffer.from("\u000bSocket-Type\0\0\0\u0003PUB", "latin1")));
  };
  return { clock, dialed, seen, dialer, last, shake };
}

function never(): never {
  throw new Error("nothing was dialed");
}

test("a connection that fails is made anew, after 100 ms, and each time after twice as long, up to 10 s", () => {
  const { clock, dialed, last, seen } = setUp();
  const waits: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    last().events.onClose("refused");
    const from = clock.now();
    const count = dialed.length;
    while (dialed.length === count) clock.advance(50);
    waits.push(clock.now() - from);
  }
  expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
  expect(new Set(seen)).toEqual(new Set(["down: refused"]));
});

test("after a connection that has stood the next wait is short again", () => {
  const { clock, dialed, last, shake, seen } = setUp();
  for (let round = 0; round < 5; round += 1) {
    last().events.onClose("refused");
    clock.advance(10_000);
  }
  shake();
  clock.advance(10_000);
  last().events.onClose("it closed the connection");
  const count = dialed.length;
  clock.advance(100);
  expect(dialed).toHaveLength(count + 1);
  expect(seen.slice(-2)).toEqual(["up", "down: it closed the connection"]);
});

test("a peer that ends each connection after the handshake is dialed as seldom as one that refuses it", () => {
  const { clock, dialed, last, shake } = setUp();
  for (let second = 0; second < 600; second += 1) {
    if (!last().isClosed) {
      shake();
      last().events.onClose("it closed the connection");
    }
    clock.advance(1000);
  }
  expect(dialed.length).toBeLessThan(70);
});

test("a peer that does not end the handshake within 5 s is given up, also where the connection never opens", () => {
  const { clock, dialed, seen } = setUp();
  clock.advance(5000);
  expect(seen).toEqual(["down: it did not end the handshake in time"]);
  // The connection opens after all: nobody wants it.
  dialed[0]?.open();
  expect(dialed[0]?.isClosed).toBe(true);
});

test("a peer that breaks the protocol is closed, and dialed again", () => {
  const { clock, dialed, last, seen } = setUp();
  last().open();
  last().events.onData(Buffer.from("HTTP/1.1 400"));
  expect([dialed[0]?.isClosed, seen]).toEqual([true, ["down: it does not speak ZMTP"]]);
  last().events.onData(Buffer.from("more"));
  last().events.onClose("closed");
  expect(seen).toHaveLength(1);
  clock.advance(100);
  expect(dialed).toHaveLength(2);
});

test("a silent peer is asked after 10 s, and is lost after 30 s without a byte", () => {
  const { clock, last, shake, seen } = setUp();
  shake();
  const before = last().written.length;
  clock.advance(9999);
  expect(last().written).toHaveLength(before);
  clock.advance(1);
  expect(last().written.at(-1)).toStartWith("\u0004\u0007\u0004PING");
  clock.advance(15_000);
  last().events.onData(command("PONG", Buffer.alloc(0)));
  clock.advance(29_000);
  expect(seen).toEqual(["up"]);
  clock.advance(10_000);
  expect(seen.at(-1)).toMatch(/^down: nothing came from it for \d+ s, and it does not answer$/);
});

test("a peer that talks all the time is asked as often, so that it does not give us up for our silence", () => {
  const { clock, last, shake, seen } = setUp();
  shake();
  for (let second = 0; second < 300; second += 1) {
    clock.advance(1000);
    last().events.onData(message([Buffer.from("a")]));
  }
  const pings = last().written.filter((bytes) => bytes.includes("PING"));
  // 60 s, in tenths: six times as long as the time between two.
  expect([pings.length, pings[0]?.slice(7)]).toEqual([30, "\u0002X"]);
  expect(new Set(seen)).toEqual(new Set(["up", "a"]));
});

test("a peer that is not read for long is not taken for a silent one", () => {
  const { clock, dialer, shake, seen } = setUp();
  shake();
  dialer.setPaused(true);
  clock.advance(300_000);
  dialer.setPaused(false);
  clock.advance(25_000);
  expect(seen).toEqual(["up"]);
  clock.advance(10_000);
  expect(seen).toHaveLength(2);
});

test("a peer of version 3.0 may be silent: it need not know the question", () => {
  const { clock, shake, seen } = setUp();
  shake(0);
  clock.advance(3_600_000);
  expect(seen).toEqual(["up"]);
});

test("messages arrive, reading can be stopped, and a new connection is stopped as well", () => {
  const { clock, dialer, last, shake, seen } = setUp();
  shake();
  last().events.onData(message([Buffer.from("a"), Buffer.from("b")]));
  expect(seen).toEqual(["up", "a,b"]);
  dialer.setPaused(true);
  expect(last().isPaused).toBe(true);
  last().events.onClose("lost");
  clock.advance(100);
  shake();
  expect(last().isPaused).toBe(true);
  dialer.setPaused(false);
  expect(last().isPaused).toBe(false);
});

test("it sends only while the peer is there, and nothing is left of it when it is disposed of", () => {
  const { clock, dialer, dialed, last, shake } = setUp();
  expect(dialer.send([Buffer.from("q")])).toBe(false);
  shake();
  expect(dialer.send([Buffer.from("q")])).toBe(true);
  expect(last().written.at(-1)).toBe("\0\u0001q");
  dialer[Symbol.dispose]();
  expect([last().isClosed, dialer.send([]), clock.pending]).toEqual([true, false, 0]);
  clock.advance(60_000);
  expect(dialed).toHaveLength(1);
});

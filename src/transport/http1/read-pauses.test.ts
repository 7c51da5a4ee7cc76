import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { Exchange, type ExchangeConnection } from "./exchange.ts";
import { type PauseMs, ReadPauses } from "./read-pauses.ts";

const HEAD = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/**
 * The connection of an exchange as a kernel would have it: what the worker sends while nobody reads lies there, and is one
 * piece when somebody does.
 */
class FakeConnection implements ExchangeConnection {
  pauses = 0;
  releases = 0;
  readonly #clock: ManualClock;
  readonly #readPauses: ReadPauses;
  readonly #exchange: Exchange;
  #isPausing = false;
  #unread = "";

  constructor(clock: ManualClock, readPauses: ReadPauses, exchange: Exchange) {
    this.#clock = clock;
    this.#readPauses = readPauses;
    this.#exchange = exchange;
    exchange.started(this, clock.now());
  }

  /** The worker sends this. */
  arrive(bytes: string): void {
    this.#unread += bytes;
    if (!this.#isPausing) this.#read();
  }

  now(): number {
    return this.#clock.now();
  }

  pause(): void {}
  resume(): void {}
  closeIfIdle(): void {}

  pauseReads(ms: PauseMs): void {
    if (this.#isPausing) return;
    this.pauses += 1;
    this.#isPausing = true;
    this.#readPauses.add(this, ms);
  }

  pauseOver(): void {
    this.#isPausing = false;
    this.#read();
  }

  outOfStep(): void {
    expect.unreachable();
  }

  release(): void {
    this.releases += 1;
  }

  #read(): void {
    const bytes = this.#unread;
    this.#unread = "";
    if (bytes !== "") this.#exchange.receive(Buffer.from(bytes, "latin1"));
  }
}

interface Stream {
  readonly clock: ManualClock;
  readonly connection: FakeConnection;
  /** Pieces of the body, as they were taken. */
  readonly taken: string[];
  readonly isOver: () => boolean;
}

/** An exchange whose head is there and whose body is followed. */
function follow(): Stream {
  const clock = new ManualClock();
  clock.advance(1000);
  const request = {
    origin: "http://worker:8000",
    method: "POST",
    path: "/",
    headers: "",
    body: undefined,
    timeouts: { connectMs: 1e9, firstByteMs: 1e9, idleMs: 1e9 },
    deadline: 1e12,
  };
  const exchange = new Exchange(request, undefined);
  const connection = new FakeConnection(clock, new ReadPauses(clock), exchange);
  connection.arrive(HEAD);
  const taken: string[] = [];
  void exchange.follow({
    take(bytes, from, to) {
      taken.push(Buffer.from(bytes.subarray(from, to)).toString("latin1"));
      return true;
    },
  });
  return { clock, connection, taken, isOver: () => exchange.isOver };
}

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

/** Sends so many pieces, each so long after the one before. */
function send({ clock, connection }: Stream, pieces: number, gapMs: number): void {
  for (let piece = 0; piece < pieces; piece += 1) {
    clock.advance(gapMs);
    connection.arrive(chunk("x"));
  }
}

describe("a stream", () => {
  test("whose pieces come every 2 ms or slower never pauses", () => {
    for (const gapMs of [2, 2.5, 4, 1000]) {
      const stream = follow();
      send(stream, 500, gapMs);
      expect([gapMs, stream.connection.pauses, stream.taken.length]).toEqual([gapMs, 0, 500]);
    }
  });

  test("whose pieces come faster pauses with the fifth, and not before", () => {
    const stream = follow();
    send(stream, 4, 1.5);
    expect(stream.connection.pauses).toBe(0);
    send(stream, 1, 1.5);
    expect([stream.connection.pauses, stream.taken.length]).toEqual([1, 5]);
  });

  test("whose fast pieces are not in a row do not pause", () => {
    const stream = follow();
    for (let round = 0; round < 20; round += 1) {
      send(stream, 3, 0.125);
      send(stream, 1, 2);
    }
    expect(stream.connection.pauses).toBe(0);
  });

  test("that pauses is read a millisecond later, all that came meanwhile as one piece", () => {
    const stream = follow();
    send(stream, 5, 0);
    const before = stream.taken.length;
    send(stream, 5, 0.1);
    expect(stream.taken.length).toBe(before);
    stream.clock.advance(0.5);
    expect(stream.taken.slice(before)).toEqual(["xxxxx"]);
    expect(stream.connection.pauses).toBe(2);
  });

  test("that pauses goes on pausing while its pieces are less than 5 ms apart, and cools off after", () => {
    const stream = follow();
    send(stream, 5, 1);
    send(stream, 10, 4.75);
    expect(stream.connection.pauses).toBe(11);
    send(stream, 1, 5);
    expect(stream.connection.pauses).toBe(11);
    send(stream, 3, 1);
    expect(stream.connection.pauses).toBe(11);
    send(stream, 1, 1);
    expect(stream.connection.pauses).toBe(12);
  });

  test("that ends with the piece that is taken does not pause: its connection may have the next request", () => {
    const stream = follow();
    send(stream, 4, 0);
    stream.connection.arrive(`${chunk("end")}0\r\n\r\n`);
    expect([stream.isOver(), stream.connection.pauses, stream.connection.releases]).toEqual([true, 0, 1]);
  });

  test("of eight thousand tokens a second pauses for four milliseconds, and for one where it gets slower", () => {
    const stream = follow();
    const token = "x".repeat(200);
    const run = (tokens: number, gapMs: number): number => {
      const before = stream.connection.pauses;
      for (let count = 0; count < tokens; count += 1) {
        stream.clock.advance(gapMs);
        stream.connection.arrive(chunk(token));
      }
      return stream.connection.pauses - before;
    };
    run(100, 0.125);
    expect(run(800, 0.125)).toBe(25);
    run(100, 0.5);
    expect(run(200, 0.5)).toBe(100);
  });

  test("whose pieces are large is read each millisecond: more in one read saves nothing", () => {
    const stream = follow();
    const before = stream.connection.pauses;
    for (let count = 0; count < 205; count += 1) {
      stream.clock.advance(0.5);
      stream.connection.arrive(chunk("x".repeat(70_000)));
    }
    expect(stream.connection.pauses - before).toBe(101);
  });

  test("that ends while it pauses is read to its end, and its connection is given back once", () => {
    const stream = follow();
    send(stream, 5, 0);
    stream.connection.arrive(`${chunk("end")}0\r\n\r\n`);
    expect(stream.isOver()).toBe(false);
    stream.clock.advance(1);
    expect([stream.isOver(), stream.taken.at(-1), stream.connection.releases]).toEqual([true, "end", 1]);
  });

  test("loses no byte, whatever its pieces and the time between them", () => {
    const arrivals = fc.array(
      fc.record({
        text: fc.string({ minLength: 1, maxLength: 20, unit: "binary-ascii" }),
        gapMs: fc.constantFrom(0, 0, 0, 0.2, 1, 1.9, 2, 4, 6),
        isCut: fc.boolean(),
      }),
      { maxLength: 120, size: "max" },
    );
    fc.assert(
      fc.property(arrivals, (pieces) => {
        const stream = follow();
        for (const { text, gapMs, isCut } of pieces) {
          stream.clock.advance(gapMs);
          const bytes = chunk(text);
          stream.connection.arrive(isCut ? bytes.slice(0, 4) : bytes);
          if (isCut) stream.connection.arrive(bytes.slice(4));
        }
        stream.connection.arrive("0\r\n\r\n");
        stream.clock.advance(4);
        expect(stream.taken.join("")).toBe(pieces.map(({ text }) => text).join(""));
        expect([stream.isOver(), stream.connection.releases]).toEqual([true, 1]);
      }),
      { numRuns: 200 },
    );
  });
});

describe("those that pause", () => {
  test("share one timer, and each is called once", () => {
    const clock = new ManualClock();
    const pauses = new ReadPauses(clock);
    const called: string[] = [];
    const one = (name: string): { pauseOver(): void } => ({ pauseOver: () => called.push(name) });
    pauses.add(one("a"), 1);
    clock.advance(0.5);
    pauses.add(one("b"), 1);
    expect([clock.pending, called.length]).toEqual([1, 0]);
    clock.advance(0.5);
    expect(called).toEqual(["a", "b"]);
    clock.advance(100);
    expect([called.length, clock.pending]).toEqual([2, 0]);
  });

  test("for longer have a timer of their own", () => {
    const clock = new ManualClock();
    const pauses = new ReadPauses(clock);
    const called: string[] = [];
    pauses.add({ pauseOver: () => called.push("long") }, 4);
    pauses.add({ pauseOver: () => called.push("short") }, 1);
    clock.advance(1);
    expect([called, clock.pending]).toEqual([["short"], 1]);
    clock.advance(3);
    expect([called, clock.pending]).toEqual([["short", "long"], 0]);
  });

  test("may pause again as they are called", () => {
    const clock = new ManualClock();
    const pauses = new ReadPauses(clock);
    let count = 0;
    const connection = {
      pauseOver() {
        count += 1;
        if (count < 3) pauses.add(connection, 1);
      },
    };
    pauses.add(connection, 1);
    clock.advance(10);
    expect([count, clock.pending]).toEqual([3, 0]);
  });

  test("are left alone, without a timer, once they are disposed of", () => {
    const clock = new ManualClock();
    const pauses = new ReadPauses(clock);
    pauses.add({ pauseOver: () => expect.unreachable() }, 1);
    pauses.add({ pauseOver: () => expect.unreachable() }, 4);
    pauses[Symbol.dispose]();
    expect(clock.pending).toBe(0);
    clock.advance(10);
  });
});

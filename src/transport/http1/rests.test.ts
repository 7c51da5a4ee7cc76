import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { Exchange, type ExchangeConnection } from "./exchange.ts";
import { type RestMs, Rests } from "./rests.ts";

const HEAD = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/**
 * The connection of an exchange as a kernel would have it: what the worker sends while nobody reads lies there, and is one
 * piece when somebody does.
 */
class FakeConnection implements ExchangeConnection {
  rests = 0;
  releases = 0;
  readonly #clock: ManualClock;
  readonly #rests: Rests;
  readonly #exchange: Exchange;
  #isResting = false;
  #unread = "";

  constructor(clock: ManualClock, rests: Rests, exchange: Exchange) {
    this.#clock = clock;
    this.#rests = rests;
    this.#exchange = exchange;
    exchange.started(this, clock.now());
  }

  /** The worker sends this. */
  arrive(bytes: string): void {
    this.#unread += bytes;
    if (!this.#isResting) this.#read();
  }

  now(): number {
    return this.#clock.now();
  }

  pause(): void {}
  resume(): void {}
  closeIfIdle(): void {}

  rest(ms: RestMs): void {
    if (this.#isResting) return;
    this.rests += 1;
    this.#isResting = true;
    this.#rests.add(this, ms);
  }

  rested(): void {
    this.#isResting = false;
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
  const connection = new FakeConnection(clock, new Rests(clock), exchange);
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
  test("whose pieces come every 2 ms or slower is never rested", () => {
    for (const gapMs of [2, 2.5, 4, 1000]) {
      const stream = follow();
      send(stream, 500, gapMs);
      expect([gapMs, stream.connection.rests, stream.taken.length]).toEqual([gapMs, 0, 500]);
    }
  });

  test("whose pieces come faster rests with the fifth, and not before", () => {
    const stream = follow();
    send(stream, 4, 1.5);
    expect(stream.connection.rests).toBe(0);
    send(stream, 1, 1.5);
    expect([stream.connection.rests, stream.taken.length]).toEqual([1, 5]);
  });

  test("whose fast pieces are not in a row is not rested", () => {
    const stream = follow();
    for (let round = 0; round < 20; round += 1) {
      send(stream, 3, 0.125);
      send(stream, 1, 2);
    }
    expect(stream.connection.rests).toBe(0);
  });

  test("that rests is read a millisecond later, all that came meanwhile as one piece", () => {
    const stream = follow();
    send(stream, 5, 0);
    const before = stream.taken.length;
    send(stream, 5, 0.1);
    expect(stream.taken.length).toBe(before);
    stream.clock.advance(0.5);
    expect(stream.taken.slice(before)).toEqual(["xxxxx"]);
    expect(stream.connection.rests).toBe(2);
  });

  test("that rests goes on so while its pieces are less than 5 ms apart, and cools off after", () => {
    const stream = follow();
    send(stream, 5, 1);
    send(stream, 10, 4.75);
    expect(stream.connection.rests).toBe(11);
    send(stream, 1, 5);
    expect(stream.connection.rests).toBe(11);
    send(stream, 3, 1);
    expect(stream.connection.rests).toBe(11);
    send(stream, 1, 1);
    expect(stream.connection.rests).toBe(12);
  });

  test("that ends with the piece that is taken does not rest: its connection may have the next request", () => {
    const stream = follow();
    send(stream, 4, 0);
    stream.connection.arrive(`${chunk("end")}0\r\n\r\n`);
    expect([stream.isOver(), stream.connection.rests, stream.connection.releases]).toEqual([true, 0, 1]);
  });

  test("of eight thousand tokens a second rests for four milliseconds, and for one where it gets slower", () => {
    const stream = follow();
    const token = "x".repeat(200);
    const run = (tokens: number, gapMs: number): number => {
      const before = stream.connection.rests;
      for (let count = 0; count < tokens; count += 1) {
        stream.clock.advance(gapMs);
        stream.connection.arrive(chunk(token));
      }
      return stream.connection.rests - before;
    };
    run(100, 0.125);
    expect(run(800, 0.125)).toBe(25);
    run(100, 0.5);
    expect(run(200, 0.5)).toBe(100);
  });

  test("whose pieces are large is read each millisecond: more in one read saves nothing", () => {
    const stream = follow();
    const before = stream.connection.rests;
    for (let count = 0; count < 205; count += 1) {
      stream.clock.advance(0.5);
      stream.connection.arrive(chunk("x".repeat(70_000)));
    }
    expect(stream.connection.rests - before).toBe(101);
  });

  test("that ends while it rests is read to its end, and its connection is given back once", () => {
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

describe("those that rest", () => {
  test("share one timer, and each is called once", () => {
    const clock = new ManualClock();
    const rests = new Rests(clock);
    const called: string[] = [];
    const one = (name: string): { rested(): void } => ({ rested: () => called.push(name) });
    rests.add(one("a"), 1);
    clock.advance(0.5);
    rests.add(one("b"), 1);
    expect([clock.pending, called.length]).toEqual([1, 0]);
    clock.advance(0.5);
    expect(called).toEqual(["a", "b"]);
    clock.advance(100);
    expect([called.length, clock.pending]).toEqual([2, 0]);
  });

  test("for longer have a timer of their own", () => {
    const clock = new ManualClock();
    const rests = new Rests(clock);
    const called: string[] = [];
    rests.add({ rested: () => called.push("long") }, 4);
    rests.add({ rested: () => called.push("short") }, 1);
    clock.advance(1);
    expect([called, clock.pending]).toEqual([["short"], 1]);
    clock.advance(3);
    expect([called, clock.pending]).toEqual([["short", "long"], 0]);
  });

  test("may rest again as they are called", () => {
    const clock = new ManualClock();
    const rests = new Rests(clock);
    let count = 0;
    const connection = {
      rested() {
        count += 1;
        if (count < 3) rests.add(connection, 1);
      },
    };
    rests.add(connection, 1);
    clock.advance(10);
    expect([count, clock.pending]).toEqual([3, 0]);
  });

  test("are left alone, without a timer, once they are disposed of", () => {
    const clock = new ManualClock();
    const rests = new Rests(clock);
    rests.add({ rested: () => expect.unreachable() }, 1);
    rests.add({ rested: () => expect.unreachable() }, 4);
    rests[Symbol.dispose]();
    expect(clock.pending).toBe(0);
    clock.advance(10);
  });
});

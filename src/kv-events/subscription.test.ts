import { expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { writeMsgpack } from "../../test/support/write-msgpack.ts";
import { LoopTurns } from "../util/loop-turns.ts";
import { BoundSockets } from "./bound-sockets.ts";
import type { RankEndpoints } from "./endpoints.ts";
import { Pump } from "./pump.ts";
import { WorkerFeed } from "./worker-feed.ts";
import type { Tcp, TcpEvents } from "./zmtp/tcp.ts";
import { command, greeting, message } from "./zmtp/zmtp-frames.ts";

const LIVE = 5557;
const REPLAY = 5558;
const END = Buffer.alloc(8, 0xff);

function sequence(number: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(number)));
  return bytes;
}

/** A batch that stores a prompt's first block, of 32 tokens. */
const batch = (key: number): Buffer =>
  writeMsgpack([key, [["BlockStored", [key], null, Array.from({ length: 32 }, (_, at) => key + at), 32, null]]]);

/** One connection of the gateway's, with the publisher's end in the test's hands. */
interface Wire {
  readonly port: number;
  readonly events: TcpEvents;
  isPaused: boolean;
  isClosed: boolean;
}

/** A worker's feed on a network of the test's. With `isBound` the engine connects to the gateway. */
function setUp({ isBound = false, hasReplay = true } = {}) {
  const clock = new ManualClock();
  const wires: Wire[] = [];
  const turns: (() => void)[] = [];
  const states: string[] = [];
  const stored: number[] = [];
  let accept: (() => TcpEvents) | undefined;
  const open = (port: number, events: TcpEvents): Wire => {
    const wire: Wire = { port, events, isPaused: false, isClosed: false };
    wires.push(wire);
    return wire;
  };
  const tcp: Tcp = {
    connect: ({ port }, events) => void open(port, events),
    listen(_address, onAccept) {
      accept = onAccept;
      return { [Symbol.dispose]: () => (accept = undefined) };
    },
  };
  const settings = { maxMessageBytes: 100_000, ttlMs: 60_000 };
  const pump = new Pump({
    now: () => clock.now(),
    turns: new LoopTurns((action) => void turns.push(action)),
    onPause: (isPaused) => feed.setPaused(isPaused),
  });
  const place = (port: number): { readonly hostname: string; readonly port: number } => ({ hostname: "w", port });
  const endpoints: RankEndpoints = {
    live: { ...place(LIVE), isBound },
    replay: hasReplay ? { ...place(REPLAY), isBound: false } : undefined,
    topic: "kv",
  };
  const feed: WorkerFeed = new WorkerFeed(
    [endpoints],
    1_000_000,
    { tcp, clock, random: () => 0, bound: new BoundSockets({ tcp, clock, settings }), pump },
    {
      stored: (_lora, hashes) => void stored.push(...hashes),
      removed: () => undefined,
      cleared: () => void stored.splice(0),
      exact: () => undefined,
      onState: (state, reason) => void states.push(`${state}: ${reason}`),
    },
  );
  const shake = (wire: Wire): void => {
    wire.events.onOpen({
      write: () => undefined,
      pause: () => (wire.isPaused = true),
      resume: () => (wire.isPaused = false),
      close: () => (wire.isClosed = true),
    });
    wire.events.onData(greeting());
    const type = wire.port === LIVE ? "\u0003PUB" : "\u0006ROUTER";
    wire.events.onData(command("READY", Buffer.from(`\u000bSocket-Type\0\0\0${type}`, "latin1")));
  };
  return {
    clock,
    feed,
    pump,
    states,
    stored,
    shake,
    /** The last connection to a port that is still open. */
    wire: (port: number): Wire | undefined => wires.findLast((one) => one.port === port && !one.isClosed),
    /** An engine connects to the gateway. */
    engine: (): Wire => {
      if (!accept) throw new Error("nobody listens");
      const wire = open(LIVE, accept());
      shake(wire);
      return wire;
    },
    turn: (): void => {
      for (let actions = turns.splice(0); actions.length > 0; actions = turns.splice(0))
        for (const one of actions) one();
    },
  };
}

const publish = (wire: Wire | undefined, number: number, topic = "kv"): void =>
  wire?.events.onData(message([Buffer.from(topic), sequence(number), batch(number)]));

test("a batch with a number that no publisher can have reached is told, and the next ones count", () => {
  const { feed, shake, turn, wire } = setUp({ hasReplay: false });
  for (const port of [LIVE]) shake(wire(port) ?? never());
  wire(LIVE)?.events.onData(message([Buffer.from("kv"), END, batch(1)]));
  turn();
  expect([feed.view.state, feed.view.reason]).toEqual([
    "partial",
    "it has given a batch the number 18446744073709552000",
  ]);
  publish(wire(LIVE), 0);
  turn();
  expect([feed.view.state, feed.view.batches, feed.view.unreadable]).toEqual(["exact", 1, 1]);
});

test("of two engines that publish at one address with one topic the later counts, and the events are told to be incomplete once", () => {
  const { engine, feed, states, turn } = setUp({ isBound: true, hasReplay: false });
  const [first, second] = [engine(), engine()];
  for (let number = 0; number < 50; number += 1) {
    publish(first, number);
    publish(second, number);
  }
  turn();
  expect(feed.view).toMatchObject({ state: "partial", batches: 51, unreadable: 49, restarts: 1 });
  expect(states.slice(-1)).toEqual(["partial: two engines publish at its address with the same topic"]);
  expect(states.length).toBeLessThan(8);
  // When the later one has gone, the other counts again.
  second.events.onClose("gone");
  publish(first, 50);
  turn();
  expect(feed.view).toMatchObject({ batches: 52 });
});

test("an engine that connects while nothing more is read is not read either", () => {
  const { engine, feed, turn } = setUp({ isBound: true, hasReplay: false });
  feed.setPaused(true);
  const wire = engine();
  publish(wire, 0);
  expect(wire.isPaused).toBe(true);
  turn();
  feed.setPaused(false);
  expect(wire.isPaused).toBe(false);
});

test("blocks that are told once more are told between other work, all of them once however often it is asked for, and none after the end", () => {
  const { feed, shake, stored, turn, wire } = setUp({ hasReplay: false });
  shake(wire(LIVE) ?? never());
  for (let number = 0; number < 3000; number += 1) publish(wire(LIVE), number);
  turn();
  expect([feed.view.state, feed.view.blocks]).toEqual(["exact", 3000]);
  stored.length = 0;
  feed.tellAll();
  feed.tellAll();
  expect(stored.length).toBe(0);
  turn();
  expect([stored.length, new Set(stored).size]).toEqual([3000, 3000]);
  stored.length = 0;
  feed.tellAll();
  feed[Symbol.dispose]();
  turn();
  expect(stored.length).toBe(0);
});

test("whatever a publisher and its replay send, nothing throws, what waits is bounded, and a restart is followed to the letter", () => {
  const numbers = fc.oneof(
    fc.nat(20).map(BigInt),
    fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 2n, 2n ** 64n - 1n),
  );
  const payload = fc.oneof(fc.nat(20).map(batch), fc.uint8Array({ maxLength: 30 }).map(Buffer.from));
  const frames = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(numbers, payload).map(([number, body]) => [sequence(number), body]) },
    fc.array(fc.uint8Array({ maxLength: 12 }).map(Buffer.from), { maxLength: 4 }),
  );
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ to: fc.constantFrom(LIVE, REPLAY), frames }) },
    fc.record({ to: fc.constantFrom(LIVE, REPLAY), close: fc.constant(true) }),
    fc.record({ to: fc.constant(REPLAY), end: fc.constant(true) }),
    fc.record({ waitMs: fc.constantFrom(10, 1000, 6000, 31_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, hasReplay) => {
      const { clock, feed, pump, shake, stored, turn, wire } = setUp({ hasReplay });
      const shaken = new Set<Wire>();
      /** Takes each connection that the gateway makes within its longest wait. */
      const up = (forMs = 10_000, then = (): void => undefined): void => {
        for (let waited = 0; waited <= forMs; waited += 250) {
          for (const port of [LIVE, REPLAY]) {
            const one = wire(port);
            if (!one) continue;
            if (shaken.has(one)) one.events.onData(command("PONG", Buffer.alloc(0)));
            else shake(one);
            shaken.add(one);
          }
          turn();
          then();
          clock.advance(250);
        }
      };
      up();
      for (const one of steps) {
        if ("waitMs" in one) clock.advance(one.waitMs);
        else if ("close" in one) wire(one.to)?.events.onClose("lost");
        else if ("end" in one) wire(one.to)?.events.onData(message([Buffer.alloc(0), END, Buffer.alloc(0)]));
        else wire(one.to)?.events.onData(message([Buffer.from(one.to === LIVE ? "kv" : ""), ...one.frames]));
        turn();
        expect(pump.bytes).toBe(0);
      }
      // The engine is restarted, and publishes three batches.
      for (const port of [LIVE, REPLAY]) wire(port)?.events.onClose("lost");
      up();
      for (const number of [0, 1, 2]) publish(wire(LIVE), number);
      up(hasReplay ? 40_000 : 0, () => {
        const replay = wire(REPLAY);
        for (const number of [0, 1, 2])
          replay?.events.onData(message([Buffer.alloc(0), sequence(number), batch(number)]));
        replay?.events.onData(message([Buffer.alloc(0), END, Buffer.alloc(0)]));
        turn();
      });
      expect([feed.view.state, feed.view.blocks, new Set(stored).size]).toEqual(["exact", 3, 3]);
      feed[Symbol.dispose]();
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 150 },
  );
});

function never(): never {
  throw new Error("there is no connection");
}

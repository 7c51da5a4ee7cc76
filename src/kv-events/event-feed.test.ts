import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { writeMsgpack } from "../../test/support/write-msgpack.ts";
import { EventFeed } from "./event-feed.ts";

/** A batch that stores the block `key`; equal keys make equal bytes. */
function batch(key: number): Buffer {
  return writeMsgpack([key, [["BlockStored", [key], null, [key], 1, null]]]);
}

/** A feed with the blocks that it has applied since they were last cleared. */
function setUp(hasReplay = true) {
  const clock = new ManualClock();
  const applied: unknown[] = [];
  const asked: number[] = [];
  const states: string[] = [];
  let canAsk = true;
  let hangUps = 0;
  let fault: string | undefined;
  const feed = new EventFeed({
    clock,
    blocks: {
      apply: (event) => void applied.push(event.kind === "stored" ? event.keys[0] : event.kind),
      clear: () => void applied.splice(0),
      get fault() {
        return fault;
      },
    },
    ask: hasReplay
      ? (sequence) => {
          if (canAsk) asked.push(sequence);
          return canAsk;
        }
      : undefined,
    hangUpReplay: () => void (hangUps += 1),
    onState: (state, reason) => void states.push(`${state}: ${reason}`),
  });
  return {
    clock,
    feed,
    applied,
    asked,
    states,
    hangUps: () => hangUps,
    setCanAsk: (can: boolean) => (canAsk = can),
    setFault: (text: string | undefined) => (fault = text),
    /** Answers with the batches `from` to `to` of a process whose batch n has the key n + `base`. */
    answer: (from: number, to: number, base = 0) => {
      for (let number = from; number <= to; number += 1) feed.replayed(number, batch(base + number));
      feed.replayEnded();
    },
    live: (number: number, base = 0) => feed.live(number, batch(base + number)),
  };
}

const upTo = (last: number, base = 0): number[] => Array.from({ length: last + 1 }, (_, at) => base + at);

describe("a publisher with a replay", () => {
  test("is asked for everything at first, and is exact when the answer is complete", () => {
    const { feed, applied, asked, states, answer, live } = setUp();
    feed.up();
    expect([asked, feed.state]).toEqual([[0], "catching_up"]);
    // Published while the answer is on its way: one is in it too.
    live(2);
    live(3);
    expect(applied).toEqual([]);
    answer(0, 2);
    expect([applied, feed.state, feed.next]).toEqual([upTo(3), "exact", 4]);
    live(4);
    expect([applied, feed.state]).toEqual([upTo(4), "exact"]);
    expect(states).toEqual(["catching_up: it was asked for the missing batches", "exact: all its batches have come"]);
  });

  test("that has published nothing is exact: its cache is empty", () => {
    const { feed, answer, live, applied } = setUp();
    feed.up();
    answer(0, -1);
    expect(feed.state).toBe("exact");
    live(0);
    expect([applied, feed.state]).toEqual([[0], "exact"]);
  });

  test("that keeps too few batches is partial until its cache is emptied", () => {
    const { feed, applied, states, answer } = setUp();
    feed.up();
    answer(7, 9);
    expect([applied, feed.state]).toEqual([[7, 8, 9], "partial"]);
    expect(states.at(-1)).toBe("partial: 7 of its batches before number 7 are lost");
    feed.live(10, writeMsgpack([0, [["AllBlocksCleared"]]]));
    expect([applied, feed.state]).toEqual([[], "exact"]);
  });

  test("is asked for what is missing, and takes it in in order", () => {
    const { feed, applied, asked, answer, live } = setUp();
    feed.up();
    answer(0, 1);
    live(5);
    live(6);
    expect([asked, feed.state, applied]).toEqual([[0, 2], "catching_up", upTo(1)]);
    answer(2, 5);
    expect([applied, feed.state]).toEqual([upTo(6), "exact"]);
    expect(feed.counts).toEqual({ batches: 7, gaps: 1, replays: 2, restarts: 0, unreadable: 0, unknown: 0 });
  });

  test("whose answer has holes is asked again as long as that helps", () => {
    const { feed, applied, asked, live } = setUp();
    feed.up();
    for (const number of [0, 1, 3, 4]) feed.replayed(number, batch(number));
    feed.replayEnded();
    expect(asked).toEqual([0, 2]);
    for (const number of [2, 3, 6]) feed.replayed(number, batch(number));
    feed.replayEnded();
    expect([asked, applied]).toEqual([[0, 2, 5], upTo(4)]);
    feed.replayEnded();
    expect([applied, feed.state]).toEqual([[0, 1, 2, 3, 4, 6], "partial"]);
    live(7);
    expect(feed.state).toBe("partial");
  });

  test("sends batches twice, and they count once", () => {
    const { feed, applied, answer, live } = setUp();
    feed.up();
    live(0);
    live(1);
    answer(0, 1);
    answer(0, 1);
    expect(applied).toEqual(upTo(1));
  });

  test("that was restarted begins anew: its numbers go back on the same connection", () => {
    const { feed, applied, asked, answer, live } = setUp();
    feed.up();
    answer(0, 4);
    live(5);
    live(0, 100);
    expect([applied, feed.state]).toEqual([[100], "exact"]);
    live(3, 100);
    expect(asked).toEqual([0, 1]);
    answer(1, 3, 100);
    expect([applied, feed.state, feed.counts.restarts]).toEqual([upTo(3, 100), "exact", 1]);
  });

  test("after a lost connection is asked for its last batch again; if it has that, nothing is lost", () => {
    const { feed, applied, asked, answer, states } = setUp();
    feed.up();
    answer(0, 4);
    feed.down("it closed the connection");
    expect([feed.state, states.at(-1)]).toEqual(["connecting", "connecting: it closed the connection"]);
    feed.up();
    expect(asked).toEqual([0, 4]);
    answer(4, 6);
    expect([applied, feed.state, feed.counts.restarts]).toEqual([upTo(6), "exact", 0]);
  });

  test("that was restarted while the connection was lost is found out, with fewer batches, as many, or more", () => {
    for (const last of [1, 4, 9]) {
      const { feed, applied, asked, answer } = setUp();
      feed.up();
      answer(0, 4);
      feed.down("lost");
      feed.up();
      answer(4, last, 100);
      expect(asked).toEqual([0, 4, 0]);
      expect(applied).toEqual([]);
      answer(0, last, 100);
      expect([applied, feed.state, feed.counts.restarts]).toEqual([upTo(last, 100), "exact", 1]);
    }
  });

  test("that does not answer is partial, and is asked anew half a minute later", () => {
    const { clock, feed, applied, asked, answer, live, states } = setUp();
    feed.up();
    live(3);
    clock.advance(5000);
    expect([applied, feed.state]).toEqual([[3], "partial"]);
    expect(states.at(-1)).toBe("partial: its replay endpoint does not answer");
    clock.advance(25_000);
    expect(asked).toEqual([0, 0]);
    answer(0, 4);
    expect([applied, feed.state]).toEqual([upTo(4), "exact"]);
  });

  test("that does not answer is hung up on, so that a late answer is none of the next question", () => {
    const { clock, feed, asked, answer, hangUps } = setUp();
    feed.up();
    clock.advance(5000);
    expect(hangUps()).toBe(1);
    // Its new connection: the next look asks.
    feed.replayUp();
    expect(asked).toEqual([0]);
    clock.advance(25_000);
    expect(asked).toEqual([0, 0]);
    answer(0, 3);
    expect(feed.state).toBe("exact");
  });

  test("has more time while its answer is coming", () => {
    const { clock, feed, applied } = setUp();
    feed.up();
    for (const number of upTo(4)) {
      clock.advance(4000);
      feed.replayed(number, batch(number));
    }
    feed.replayEnded();
    expect([applied, feed.state]).toEqual([upTo(4), "exact"]);
  });

  test("whose answer goes in a circle is given up like one that does not answer", () => {
    const { clock, feed, hangUps } = setUp();
    feed.up();
    for (let second = 0; second < 6; second += 1) {
      for (const number of [0, 1]) feed.replayed(number, batch(number));
      clock.advance(1000);
    }
    expect([feed.state, feed.reason, hangUps()]).toEqual(["partial", "its replay endpoint does not answer", 1]);
  });

  test("that was there before the gateway, and whose replay does not answer or is not reached, leaves what is known as it is", () => {
    for (const canAsk of [true, false]) {
      const { clock, feed, applied, states, setCanAsk, live } = setUp();
      setCanAsk(canAsk);
      feed.up();
      clock.advance(6000);
      for (let number = 100; number < 160; number += 1) {
        live(number);
        clock.advance(6000);
      }
      expect([applied, feed.state, feed.counts.restarts]).toEqual([upTo(59, 100), "partial", 0]);
      // The beginning and the gap are told, not each time that it is asked in vain.
      expect(states.length).toBeLessThanOrEqual(4);
    }
  });

  test("that can be asked at last is asked for everything, and what is known ends when the answer begins with the first batch", () => {
    const { clock, feed, applied, asked, setCanAsk, live } = setUp();
    setCanAsk(false);
    feed.up();
    live(3);
    setCanAsk(true);
    clock.advance(30_000);
    expect([asked, applied, feed.state]).toEqual([[0], [3], "partial"]);
    live(4);
    expect(applied).toEqual([3, 4]);
    feed.replayed(0, batch(0));
    expect([applied, feed.state]).toEqual([[0], "catching_up"]);
    live(5);
    for (const number of [1, 2, 3, 4]) feed.replayed(number, batch(number));
    feed.replayEnded();
    expect([applied, feed.state]).toEqual([upTo(5), "exact"]);
  });

  test("that can be asked at last and keeps too few batches is not asked again, and what is known stays", () => {
    const { clock, feed, applied, asked, setCanAsk, live } = setUp();
    setCanAsk(false);
    feed.up();
    live(3);
    live(4);
    setCanAsk(true);
    clock.advance(30_000);
    feed.replayed(2, batch(2));
    feed.replayed(3, batch(3));
    feed.replayed(4, batch(4));
    feed.replayed(5, batch(5));
    feed.replayEnded();
    live(6);
    clock.advance(30_000);
    expect([applied, feed.state, asked]).toEqual([[3, 4, 5, 6], "partial", [0]]);
  });

  test("that keeps nothing for its replay is not taken for a restarted one as long as the connection stands", () => {
    const { clock, feed, applied, states, live } = setUp();
    feed.up();
    feed.replayEnded();
    live(0);
    live(1);
    for (let silence = 0; silence < 3; silence += 1) {
      clock.advance(30_000);
      feed.replayEnded();
    }
    expect([applied, feed.counts.restarts, states.length]).toEqual([upTo(1), 0, 2]);
  });

  test("that cannot be asked yet is asked when it can be", () => {
    const { feed, applied, asked, answer, setCanAsk } = setUp();
    setCanAsk(false);
    feed.up();
    expect(feed.state).toBe("partial");
    setCanAsk(true);
    feed.replayUp();
    answer(0, 2);
    expect([asked, applied, feed.state]).toEqual([[0], upTo(2), "exact"]);
  });

  test("whose replay is lost within an answer is partial until it is back", () => {
    const { feed, applied, answer, states } = setUp();
    feed.up();
    feed.replayed(0, batch(0));
    feed.replayDown("it closed the connection");
    expect(states.at(-1)).toBe("partial: its replay endpoint was lost: it closed the connection");
    feed.replayUp();
    answer(0, 3);
    expect([applied, feed.state]).toEqual([upTo(3), "exact"]);
  });

  test("is asked after half a minute of silence, which shows that batches were missed", () => {
    const { clock, feed, applied, asked, answer, live, states } = setUp();
    feed.up();
    answer(0, 1);
    live(2);
    clock.advance(30_000);
    expect(asked).toEqual([0]);
    clock.advance(30_000);
    expect([asked, feed.state]).toEqual([[0, 2], "exact"]);
    answer(2, 4);
    expect([applied, feed.state, states.length]).toEqual([upTo(4), "exact", 2]);
  });
});

describe("a publisher without a replay", () => {
  test("is exact from its first batch on", () => {
    const { feed, applied, live } = setUp(false);
    feed.up();
    expect(feed.state).toBe("partial");
    live(0);
    live(1);
    expect([applied, feed.state]).toEqual([upTo(1), "exact"]);
  });

  test("that began before is partial, until it is restarted or its cache is emptied", () => {
    const { feed, applied, live } = setUp(false);
    feed.up();
    live(4);
    expect([applied, feed.state]).toEqual([[4], "partial"]);
    live(0, 100);
    expect([applied, feed.state]).toEqual([[100], "exact"]);
  });

  test("is partial after a gap, and goes on behind it", () => {
    const { feed, applied, live, states } = setUp(false);
    feed.up();
    for (const number of [0, 1, 5, 6]) live(number);
    expect([applied, feed.state, feed.counts.gaps]).toEqual([[0, 1, 5, 6], "partial", 1]);
    expect(states.at(-1)).toBe("partial: 3 of its batches before number 5 are lost");
  });

  test("that comes back with its next batch has lost nothing, and with a smaller one is restarted", () => {
    const { feed, applied, live } = setUp(false);
    feed.up();
    live(0);
    feed.down("lost");
    live(1);
    expect(applied).toEqual([0]);
    feed.up();
    live(1);
    expect([applied, feed.state]).toEqual([upTo(1), "exact"]);
    feed.down("lost");
    feed.up();
    live(0, 100);
    expect([applied, feed.state, feed.counts.restarts]).toEqual([[100], "exact", 1]);
  });
});

test("a batch that cannot be read makes the knowledge partial, and those behind it count", () => {
  const { feed, applied, states, answer, live } = setUp();
  feed.up();
  answer(0, 0);
  feed.live(1, Buffer.from("no batch"));
  live(2);
  expect([applied, feed.state, feed.counts.unreadable]).toEqual([[0, 2], "partial", 1]);
  expect(states.at(-1)).toStartWith("partial: a batch cannot be read: ");
});

test("events of kinds that the gateway does not know are counted, and those around them count", () => {
  const { feed, applied } = setUp(false);
  feed.up();
  feed.live(0, writeMsgpack([0, [["BlockMigrated", [1], "peer"], ["BlockStored", [2], null, [2], 1, null], {}]]));
  expect([feed.state, feed.counts.unknown, applied]).toEqual(["exact", 2, [2]]);
});

test("a message that is no batch makes the knowledge partial", () => {
  const { feed, answer, states } = setUp();
  feed.up();
  answer(0, 0);
  feed.malformed("a message of 2 frames");
  expect([states.at(-1), feed.counts.unreadable]).toEqual(["partial: a message of 2 frames", 1]);
});

test("blocks that miss something make it partial, whatever the numbers say", () => {
  const { feed, answer, live, setFault, states } = setUp();
  feed.up();
  answer(0, 0);
  setFault("too many blocks");
  live(1);
  expect([feed.state, states.at(-1)]).toEqual(["partial", "partial: too many blocks"]);
});

test("batches that wait for an earlier one are bounded by number and by bytes, and are counted", () => {
  const { feed } = setUp();
  feed.up();
  const large = Buffer.alloc(10_000_000);
  for (let number = 1; number < 10; number += 1) feed.live(number, large);
  expect(feed.heldBytes).toBe(30_000_000);
  feed.down("lost");
  feed.up();
  expect(feed.heldBytes).toBe(0);
  for (let number = 1; number < 20_000; number += 1) feed.live(number, Buffer.alloc(1));
  expect(feed.heldBytes).toBe(16_384);
});

test("nothing is left of a feed that is disposed of", () => {
  const { clock, feed } = setUp();
  feed.up();
  feed[Symbol.dispose]();
  expect(clock.pending).toBe(0);
});

test("whatever is lost on the way, is cut off or is restarted, a feed that is exact has all batches of the last process, in order", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("publish"), isLost: fc.boolean() }) },
    fc.record({ kind: fc.constant("reconnect"), isLost: fc.boolean() }),
    fc.record({ kind: fc.constant("restart"), isLost: fc.boolean() }),
    fc.record({ kind: fc.constant("wait"), isLost: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, keepsAll) => {
      const { clock, feed, applied, asked } = setUp();
      let published: number[] = [];
      let process = 0;
      let isConnected = true;
      /** The publisher answers what it was asked, with what it keeps. */
      const serve = (): void => {
        while (asked.length > 0) {
          const from = asked.shift() ?? 0;
          const kept = keepsAll ? 0 : Math.max(0, published.length - 5);
          for (let number = Math.max(from, kept); number < published.length; number += 1) {
            feed.replayed(number, batch(published[number] ?? 0));
          }
          feed.replayEnded();
        }
      };
      feed.up();
      serve();
      for (const { kind, isLost } of steps) {
        if (kind === "publish") {
          published.push(process * 1000 + published.length);
          if (isConnected && !isLost) feed.live(published.length - 1, batch(published.at(-1) ?? 0));
        } else if (kind === "restart") {
          process += 1;
          published = [];
          feed.down("lost");
          feed.up();
        } else if (kind === "reconnect") {
          if (isConnected) feed.down("lost");
          else feed.up();
          isConnected = !isConnected;
          if (!isConnected) asked.length = 0;
        } else clock.advance(30_000);
        if (kind === "restart") isConnected = true;
        serve();
      }
      if (!isConnected) feed.up();
      serve();
      // A silence: then it asks.
      clock.advance(30_000);
      serve();
      clock.advance(30_000);
      serve();
      if (keepsAll) expect(feed.state).toBe("exact");
      if (feed.state === "exact") expect(applied).toEqual(published);
    }),
    { numRuns: 300 },
  );
});

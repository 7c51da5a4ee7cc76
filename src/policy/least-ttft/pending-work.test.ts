import { beforeEach, describe, expect, test } from "bun:test";
import type { Linked } from "./linked-queues.ts";
import { PendingWork } from "./pending-work.ts";
import { stateBytes } from "./shared-layout.ts";

class Sent implements Linked<Sent> {
  readonly sentAt: number;
  readonly work: number;
  doneAt = 0;
  before: Sent | undefined = undefined;
  after: Sent | undefined = undefined;

  constructor(sentAt: number, work: number) {
    this.sentAt = sentAt;
    this.work = work;
  }
}

const SLOT = 5;
let cells = new Float64Array(0);
let [one, two]: PendingWork<Sent>[] = [];

beforeEach(() => {
  cells = new Float64Array(stateBytes(2) / 8);
  [one, two] = [new PendingWork<Sent>(cells, 0, 2), new PendingWork<Sent>(cells, 1, 2)];
});

function oldest(pending = one): readonly unknown[] {
  pending?.look(SLOT);
  return [pending?.oldestAt, pending?.oldestWork];
}

function whole(pending = one): readonly unknown[] {
  pending?.look(SLOT);
  return [pending?.wholeWork, pending?.wholeCount];
}

describe("streams", () => {
  test("the oldest of all threads is the one that each thread sees", () => {
    const [early, late, later] = [new Sent(1, 100), new Sent(2, 200), new Sent(3, 300)];
    two?.sendStream(SLOT, late);
    expect(oldest()).toEqual([2, 200]);
    one?.sendStream(SLOT, early);
    two?.sendStream(SLOT, later);
    expect([oldest(), oldest(two)]).toEqual([
      [1, 100],
      [1, 100],
    ]);
    one?.endStream(SLOT, early);
    expect(oldest()).toEqual([2, 200]);
    two?.endStream(SLOT, late);
    expect(oldest()).toEqual([3, 300]);
    two?.endStream(SLOT, later);
    expect(oldest()).toEqual([0, 0]);
  });

  test("one that ends out of turn leaves the others", () => {
    const [early, late] = [new Sent(1, 100), new Sent(2, 200)];
    one?.sendStream(SLOT, early);
    one?.sendStream(SLOT, late);
    one?.endStream(SLOT, late);
    expect(oldest()).toEqual([1, 100]);
  });

  test("what a dead thread had pending is gone when it starts anew", () => {
    two?.sendStream(SLOT, new Sent(2, 200));
    two?.sendWhole(SLOT, new Sent(2, 200), 2, 0.5);
    one?.sendStream(SLOT, new Sent(9, 900));
    two = new PendingWork<Sent>(cells, 1, 2);
    expect([oldest(), whole()]).toEqual([
      [9, 900],
      [0, 0],
    ]);
  });
});

describe("requests without streams", () => {
  test("are prefilled one after the other, each when those before it are", () => {
    const sent = [new Sent(10, 800), new Sent(10, 800), new Sent(20, 800)];
    one?.sendWhole(SLOT, sent[0] ?? new Sent(0, 0), 10, 0.5);
    two?.sendWhole(SLOT, sent[1] ?? new Sent(0, 0), 10, 0.5);
    one?.sendWhole(SLOT, sent[2] ?? new Sent(0, 0), 20, 0.5);
    expect(sent.map(({ doneAt }) => doneAt)).toEqual([10.5, 11, 20.5]);
    expect(one?.wholeDoneAt(SLOT)).toBe(20.5);
  });

  test("are named once when they must be prefilled, and counted until they end", () => {
    const [first, second] = [new Sent(10, 800), new Sent(10, 400)];
    one?.sendWhole(SLOT, first, 10, 0.5);
    one?.sendWhole(SLOT, second, 10, 0.25);
    expect(one?.takePrefilled(SLOT, 10.4)).toBeUndefined();
    expect(one?.takePrefilled(SLOT, 10.5)).toBe(first);
    expect(one?.takePrefilled(SLOT, 10.5)).toBeUndefined();
    expect([whole(), whole(two)]).toEqual([
      [1200, 2],
      [1200, 2],
    ]);
    one?.endWhole(SLOT, first);
    expect(whole()).toEqual([400, 1]);
    one?.endWhole(SLOT, second);
    expect([whole(), one?.takePrefilled(SLOT, 99)]).toEqual([[0, 0], undefined]);
  });
});

test("a worker that is forgotten has nothing pending in this thread", () => {
  one?.sendStream(SLOT, new Sent(1, 100));
  one?.sendStream(SLOT + 1, new Sent(1, 100));
  one?.sendWhole(SLOT, new Sent(1, 100), 1, 1);
  one?.forget(SLOT);
  expect([oldest(), whole(), one?.takePrefilled(SLOT, 99)]).toEqual([[0, 0], [0, 0], undefined]);
  one?.look(SLOT + 1);
  expect(one?.oldestAt).toBe(1);
});

import { expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import { ManualClock } from "../../util/clock.ts";
import { Connection } from "./connection.ts";
import { Rests } from "./rests.ts";
import { WorkerSockets } from "./worker-sockets.ts";

function create(maxOpen: number): {
  readonly sockets: WorkerSockets;
  readonly clock: ManualClock;
  open(): Connection;
} {
  const clock = new ManualClock();
  const sockets = new WorkerSockets("http://worker:8000", {
    clock,
    maxOpen,
    rests: new Rests(clock),
    onGone: () => undefined,
  });
  return {
    sockets,
    clock,
    open() {
      expect(sockets.tryTakePlace()).toBe(true);
      return new Connection(false, sockets);
    },
  };
}

/** What each of them got, in the order in which they got it. */
function inLine(sockets: WorkerSockets, names: readonly string[], signal?: AbortSignal): [string, unknown][] {
  const got: [string, unknown][] = [];
  for (const name of names) {
    void sockets.turn(1000, signal).then(
      (turn) => got.push([name, turn]),
      (error: unknown) => got.push([name, error instanceof GatewayError ? error.code : error]),
    );
  }
  return got;
}

/** Lets promises run. */
async function settle(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await Promise.resolve();
}

test("those in line get a socket that is done with, or the place of one that is gone, in order", async () => {
  const { sockets, open } = create(2);
  const [one, two] = [open(), open()];
  expect(sockets.tryTakePlace()).toBe(false);
  const got = inLine(sockets, ["a", "b", "c"]);
  sockets.idle(one);
  two.close();
  await settle();
  expect(got).toEqual([
    ["a", one],
    ["b", undefined],
  ]);
  expect([sockets.takeIdle(), sockets.tryTakePlace()]).toEqual([undefined, false]);
});

test("without a line an idle socket is kept, and a place is free again", () => {
  const { sockets, clock, open } = create(1);
  const first = open();
  clock.advance(5000);
  first.idleSince = clock.now();
  sockets.idle(first);
  expect(sockets.takeIdle()).toBe(first);
  first.close();
  expect(sockets.tryTakePlace()).toBe(true);
});

test("whose time is over is refused, and the turn goes to the next", async () => {
  const { sockets, clock, open } = create(1);
  const only = open();
  const first = inLine(sockets, ["a"]);
  clock.advance(500);
  const later = inLine(sockets, ["b", "c"]);
  clock.advance(500);
  only.close();
  await settle();
  expect([first, later]).toEqual([[["a", "upstream_connections_full"]], [["b", undefined]]]);
  clock.advance(500);
  await settle();
  expect(later.at(-1)).toEqual(["c", "upstream_connections_full"]);
  expect(sockets.tryTakePlace()).toBe(false);
});

test("a client that leaves gives up its turn, also in the moment in which a place is free", async () => {
  const { sockets, open } = create(1);
  const only = open();
  const client = new AbortController();
  const left = inLine(sockets, ["a"], client.signal);
  const stays = inLine(sockets, ["b"]);
  client.abort(new Error("left"));
  only.close();
  await settle();
  expect([left, stays]).toEqual([[["a", "client_closed"]], [["b", undefined]]]);
});

test("all who wait can be refused", async () => {
  const { sockets, open } = create(1);
  open();
  const got = inLine(sockets, ["a", "b"]);
  sockets.refuseAll(new GatewayError("server_shutting_down", "it is stopping"));
  await settle();
  expect(got.map(([, code]) => code)).toEqual(["server_shutting_down", "server_shutting_down"]);
});

test("one more than the bound is not replaced", async () => {
  const { sockets, open } = create(1);
  const only = open();
  sockets.takePlace();
  const extra = new Connection(false, sockets);
  const got = inLine(sockets, ["a"]);
  extra.close();
  await settle();
  expect(got).toEqual([]);
  only.close();
  await settle();
  expect(got).toEqual([["a", undefined]]);
});

test("nothing is kept of a worker that has left", () => {
  const { sockets, open } = create(2);
  const [idle, busy] = [open(), open()];
  idle.idleSince = 1;
  sockets.idle(idle);
  sockets.keepNone();
  sockets.idle(busy);
  expect([sockets.takeIdle(), sockets.tryTakePlace(), sockets.tryTakePlace(), sockets.tryTakePlace()]).toEqual([
    undefined,
    true,
    true,
    false,
  ]);
});

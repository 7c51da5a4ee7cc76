import { expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { Connection } from "./connection.ts";
import { LoopTurns } from "../../util/loop-turns.ts";
import { ReadPauses } from "./read-pauses.ts";
import { WorkerSockets } from "./worker-sockets.ts";

function create(maxOpen: number): {
  readonly sockets: WorkerSockets;
  readonly clock: ManualClock;
  open(): Connection;
  /** The event loop turns once. */
  turn(): void;
} {
  const clock = new ManualClock();
  let onTurn: (() => void) | undefined;
  const sockets = new WorkerSockets("http://worker:8000", {
    clock,
    maxOpen,
    readPauses: new ReadPauses(clock),
    turns: new LoopTurns((action) => {
      onTurn = action;
    }),
    onGone: () => undefined,
  });
  return {
    sockets,
    clock,
    open() {
      expect(sockets.tryTakePlace()).toBe(true);
      return new Connection(undefined, sockets);
    },
    turn() {
      const action = onTurn;
      onTurn = undefined;
      action?.();
    },
  };
}

/** What each of them got, in the order in which they got it. */
function inLine(sockets: WorkerSockets, names: readonly string[], signal?: AbortSignal): [string, unknown][] {
  const got: [string, unknown][] = [];
  for (const name of names) {
    void sockets
      .waitForSocket(1000, signal, () => new GatewayError("upstream_connections_full", "all are taken"))
      .then(
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
  const { sockets, open, turn } = create(2);
  const [one, two] = [open(), open()];
  expect(sockets.tryTakePlace()).toBe(false);
  const got = inLine(sockets, ["a", "b", "c"]);
  sockets.idle(one);
  turn();
  turn();
  two.close();
  await settle();
  expect(got).toEqual([
    ["a", one],
    ["b", undefined],
  ]);
  expect([sockets.takeIdle(), sockets.tryTakePlace()]).toEqual([undefined, false]);
});

test("without a line an idle socket is kept, and a place is free again", () => {
  const { sockets, clock, open, turn } = create(1);
  const first = open();
  clock.advance(5000);
  first.idleSince = clock.now();
  sockets.idle(first);
  turn();
  turn();
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

test("a socket is used again when the loop has looked at it once more, and not before", async () => {
  const { sockets, open, turn } = create(2);
  const [one, two] = [open(), open()];
  sockets.idle(one);
  expect(sockets.takeIdle()).toBeUndefined();
  turn();
  sockets.idle(two);
  const got = inLine(sockets, ["a", "b"]);
  await settle();
  expect([got, sockets.takeIdle()]).toEqual([[], undefined]);
  turn();
  await settle();
  expect(got).toEqual([["a", one]]);
  turn();
  await settle();
  expect(got).toEqual([
    ["a", one],
    ["b", two],
  ]);
});

test("a socket on which something came before it was used is nobody's, and its place goes to the next in line", async () => {
  const { sockets, open, turn } = create(1);
  const only = open();
  sockets.idle(only);
  const got = inLine(sockets, ["a"]);
  turn();
  only.received(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"));
  turn();
  turn();
  await settle();
  expect([got, only.isGone]).toEqual([[["a", undefined]], true]);
});

test("a worker that sent what nobody asked for gets a new socket for each request, for a minute", () => {
  const { sockets, clock, open, turn } = create(3);
  const [wrong, other, later] = [open(), open(), open()];
  const rest = (connection: Connection): void => {
    connection.idleSince = clock.now();
    sockets.idle(connection);
    turn();
    turn();
  };
  rest(other);
  wrong.received(Buffer.from("HTTP/1.1 200 OK\r\n"));
  clock.advance(59_999);
  rest(later);
  expect([wrong.isGone, other.isGone, later.isGone]).toEqual([true, true, true]);
  clock.advance(1);
  const trusted = open();
  rest(trusted);
  expect(sockets.takeIdle()).toBe(trusted);
});

test("a server that says 408 on a socket where nothing was asked is only closing it", () => {
  const { sockets, open, turn } = create(2);
  const [closing, other] = [open(), open()];
  sockets.idle(other);
  closing.received(Buffer.from("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"));
  turn();
  turn();
  expect([closing.isGone, sockets.takeIdle()]).toEqual([true, other]);
});

test("the socket that has been idle for longest is used first, as late bytes have had the most time to show on it", () => {
  const { sockets, clock, open, turn } = create(3);
  const all = [open(), open(), open()];
  for (const connection of all) {
    clock.advance(10);
    connection.idleSince = clock.now();
    sockets.idle(connection);
  }
  turn();
  turn();
  expect([sockets.takeIdle(), sockets.takeIdle(), sockets.takeIdle()]).toEqual(all);
});

test("sockets that have been idle for too long are passed over and closed", () => {
  const { sockets, clock, open, turn } = create(2);
  const [old, young] = [open(), open()];
  sockets.idle(old);
  clock.advance(2000);
  young.idleSince = clock.now();
  sockets.idle(young);
  turn();
  turn();
  clock.advance(1500);
  expect([sockets.takeIdle() === young, old.isGone, young.isGone]).toEqual([true, true, false]);
});

test("a socket that was just answered on is waited for, unless the worker has many: then there is a place for another", async () => {
  for (const [count, maxOpen, waits] of [
    [8, 100, true],
    [9, 100, false],
    [9, 9, true],
  ] as const) {
    const { sockets, open, turn } = create(maxOpen);
    const all = Array.from({ length: count }, open);
    const [first] = all;
    if (first) sockets.idle(first);
    const rested = sockets.nextReleased();
    expect([count, maxOpen, rested !== undefined]).toEqual([count, maxOpen, waits]);
    // There is one such socket, and one that waits for it already.
    if (rested) expect(sockets.nextReleased()).toBeUndefined();
    turn();
    turn();
    if (rested) expect(await rested).toBe(first);
  }
});

test("the port of a worker is that of its address, also where it is 0", () => {
  const portOf = (url: string): number => {
    const clock = new ManualClock();
    const turns = new LoopTurns(() => undefined);
    return new WorkerSockets(url, {
      clock,
      maxOpen: 1,
      readPauses: new ReadPauses(clock),
      turns,
      onGone: () => undefined,
    }).port;
  };
  const urls = ["http://h", "https://h", "http://h:0", "http://h:8000", "http://[::1]:9"];
  expect(urls.map(portOf)).toEqual([80, 443, 0, 8000, 9]);
});

test("nothing is kept of a worker that has left", () => {
  const { sockets, open, turn } = create(2);
  const [idle, busy] = [open(), open()];
  idle.idleSince = 1;
  sockets.idle(idle);
  turn();
  sockets.keepNone();
  turn();
  sockets.idle(busy);
  expect([sockets.takeIdle(), sockets.tryTakePlace(), sockets.tryTakePlace(), sockets.tryTakePlace()]).toEqual([
    undefined,
    true,
    true,
    false,
  ]);
});

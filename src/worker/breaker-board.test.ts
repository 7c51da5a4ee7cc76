import { describe, expect, test } from "bun:test";
import { ANSWER, BOARD_SETTINGS, type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import type { Worker } from "./worker.ts";

/** A worker with its breaker: threshold 4, two probes to close, open for 1 s, window 10 s. */
function setUp(): FleetSetup & { readonly worker: Worker; state(): string | undefined } {
  const fleet = setUpFleet();
  const worker = fleet.add("http://one:1", { modelId: "a" });
  return { ...fleet, worker, state: () => fleet.registry.get(worker.id)?.breakerState };
}

function answers({ ledger, worker }: { ledger: FleetSetup["ledger"]; worker: Worker }, count: number): void {
  for (let index = 0; index < count; index += 1) ledger.charge(worker.slot, 1)[Symbol.dispose]();
}

describe("breaker", () => {
  test("opens with enough faults, and not with rare ones among many answers", () => {
    const one = setUp();
    one.fault(one.worker, 3);
    expect(one.state()).toBe("closed");
    one.fault(one.worker, 1, 99);
    expect(one.state()).toBe("open");
    const busy = setUp();
    busy.fault(busy.worker, 1);
    answers(busy, 50);
    busy.fault(busy.worker, 10);
    expect(busy.state()).toBe("closed");
  });

  test("one request that is sent again and again does not open it, two of them do", () => {
    const { worker, fault, state } = setUp();
    fault(worker, 100, 7);
    expect(state()).toBe("closed");
    fault(worker, 2, 8);
    expect(state()).toBe("open");
  });

  test("goes by the settings of a change from then on, and stays open for the time that it opened for", () => {
    const { worker, fault, state, clock, board } = setUp();
    const settings = BOARD_SETTINGS;
    board.replace({ ...settings, breaker: { ...settings.breaker, failureThreshold: 2, openMs: 9000 } });
    fault(worker, 2);
    expect(state()).toBe("open");
    board.replace(settings);
    clock.advance(8999);
    expect(state()).toBe("open");
    clock.advance(1);
    expect(state()).toBe("half_open");
  });

  test("that is switched off by a change closes, and counts nothing", () => {
    const { worker, fault, state, board } = setUp();
    const settings = BOARD_SETTINGS;
    fault(worker, 4);
    board.replace({ ...settings, breaker: { ...settings.breaker, disabled: true } });
    expect(state()).toBe("closed");
    fault(worker, 40);
    expect(state()).toBe("closed");
  });

  test("faults that are older than the window do not count", () => {
    const { worker, fault, state, clock } = setUp();
    fault(worker, 3);
    clock.advance(10_000);
    fault(worker, 3);
    expect(state()).toBe("closed");
  });

  test("half-open lets one probe through at a time, and closes after enough of them", () => {
    const { worker, fault, state, clock, ledger, board } = setUp();
    fault(worker, 4);
    clock.advance(1000);
    expect(state()).toBe("half_open");
    expect([ledger.tryAcquireProbe(worker.slot), ledger.tryAcquireProbe(worker.slot)]).toEqual([true, false]);
    board.report(worker.id, { ...ANSWER, isProbe: true, holdsProbe: true });
    expect([state(), ledger.tryAcquireProbe(worker.slot)]).toEqual(["half_open", true]);
    board.report(worker.id, { ...ANSWER, isProbe: true, holdsProbe: true });
    expect(state()).toBe("closed");
  });

  test("what was sent before it opened neither closes nor prolongs it", () => {
    const { worker, fault, state, clock, board } = setUp();
    fault(worker, 4);
    clock.advance(1000);
    fault(worker, 5);
    board.report(worker.id, ANSWER);
    board.report(worker.id, ANSWER);
    expect(state()).toBe("half_open");
  });

  test("a probe that fails opens it again, for twice as long; so does failing again soon after it closed", () => {
    const { worker, fault, state, clock, board } = setUp();
    const probe = (news: "answer" | "fault"): void =>
      board.report(worker.id, { ...ANSWER, isProbe: true, holdsProbe: true, news });
    fault(worker, 4);
    clock.advance(1000);
    probe("fault");
    clock.advance(1999);
    expect(state()).toBe("open");
    clock.advance(1);
    probe("answer");
    probe("answer");
    expect(state()).toBe("closed");
    fault(worker, 4);
    clock.advance(3999);
    expect(state()).toBe("open");
    clock.advance(1);
    probe("answer");
    probe("answer");
    clock.advance(10_000);
    fault(worker, 4);
    clock.advance(1000);
    expect(state()).toBe("half_open");
  });

  test("a probe whose client left says nothing, and another may follow", () => {
    const { worker, fault, clock, ledger, board, state } = setUp();
    fault(worker, 4);
    clock.advance(1000);
    expect(ledger.tryAcquireProbe(worker.slot)).toBe(true);
    board.report(worker.id, { ...ANSWER, news: "nothing", isProbe: true, holdsProbe: true });
    expect([state(), ledger.tryAcquireProbe(worker.slot)]).toEqual(["half_open", true]);
  });

  test("a worker that was out and is back begins with a closed one", () => {
    const { worker, fault, state, registry } = setUp();
    fault(worker, 4);
    registry.update(worker.id, { status: "not_ready" });
    registry.update(worker.id, { status: "ready" });
    expect(state()).toBe("closed");
  });

  test("a worker that asked to be left alone rests for that time and is told as resting", () => {
    const { worker, board, registry, clock, add } = setUp();
    const other = add("http://two:1", { modelId: "a" });
    board.report(worker.id, { ...ANSWER, restMs: 7000 });
    board.report(worker.id, { ...ANSWER, restMs: 2000 });
    expect(registry.getWorkersForModel("a").available.map(({ id }) => id)).toEqual([other.id]);
    expect(registry.getWorkersForModel("a").resting.map(({ id }) => id)).toEqual([worker.id]);
    clock.advance(6999);
    expect(registry.getWorkersForModel("a").available).toHaveLength(1);
    clock.advance(1);
    expect(registry.getWorkersForModel("a").available).toHaveLength(2);
  });

  test("a worker that declines most of what it is asked is left alone for a second, where others can serve", () => {
    const { worker, board, registry, ledger, clock, add } = setUp();
    const urls = (): string[] => registry.getWorkersForModel("a").available.map(({ url }) => url);
    const decline = (source: number): void => {
      ledger.charge(worker.slot, 1)[Symbol.dispose]();
      board.report(worker.id, { ...ANSWER, isDeclined: true, source });
    };
    for (let source = 0; source < 5; source += 1) decline(source);
    expect([urls(), registry.get(worker.id)?.trouble?.reason]).toEqual([["http://one:1"], "busy"]);
    add("http://two:1", { modelId: "a" });
    expect(urls()).toEqual(["http://two:1"]);
    clock.advance(1000);
    expect(urls()).toHaveLength(2);
    decline(5);
    expect(urls()).toEqual(["http://two:1"]);
    clock.advance(1000);
    answers({ ledger, worker }, 20);
    decline(6);
    expect(urls()).toHaveLength(2);
  });

  test("asks for another look at the worker where the attempt says so", () => {
    const { worker, board, rechecked } = setUp();
    board.report(worker.id, { ...ANSWER, recheck: "models" });
    expect(rechecked).toEqual([[worker.id, "models"]]);
  });
});

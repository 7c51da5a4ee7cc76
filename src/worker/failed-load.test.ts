import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { FailedLoad } from "./failed-load.ts";
import { LoadLedger } from "./load-ledger.ts";

function setUp(): {
  ledger: LoadLedger;
  slot: number;
  clock: ManualClock;
  load: FailedLoad;
  fail(model?: string): void;
} {
  const clock = new ManualClock();
  const ledger = new LoadLedger();
  const slot = ledger.acquireSlot();
  const load = new FailedLoad(clock);
  return { ledger, slot, clock, load, fail: (model = "m") => load.keep(ledger.charge(slot, 3), model) };
}

test("a failed request is kept for as long as an answer of its model takes, within bounds", () => {
  const { ledger, slot, clock, load, fail } = setUp();
  const keptMs = (model: string): number => {
    fail(model);
    let passed = 0;
    for (; ledger.load(slot) > 0; passed += 100) clock.advance(100);
    return passed;
  };
  expect(keptMs("unknown")).toBe(1000);
  for (let count = 0; count < 400; count += 1) load.answered("slow", clock.now() - 60_000);
  for (let count = 0; count < 400; count += 1) load.answered("usual", clock.now() - 3000);
  for (let count = 0; count < 400; count += 1) load.answered("quick", clock.now());
  expect(keptMs("slow")).toBe(10_000);
  expect(keptMs("usual")).toBeWithin(3000, 3201);
  expect(keptMs("quick")).toBeWithin(100, 201);
});

test("many at once take one timer, and no more of them are kept than may be", () => {
  const { ledger, slot, clock, fail } = setUp();
  for (let count = 0; count < 10_000; count += 1) fail();
  expect([clock.pending, ledger.load(slot), ledger.inFlight(slot)]).toEqual([1, 4096, 0]);
  clock.advance(1100);
  expect([clock.pending, ledger.load(slot), ledger.failedPromptTokens(slot)]).toEqual([0, 0, 0]);
});

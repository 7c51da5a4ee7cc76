import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Lease, LoadLedger } from "./load-ledger.ts";

describe("ledger", () => {
  test("whatever happens in whatever order, what was charged is given back once", () => {
    const step = fc.record({
      kind: fc.constantFrom("charge", "prefill", "end", "endTwice"),
      slot: fc.nat(3),
      tokens: fc.nat(5000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const ledger = new LoadLedger();
        const slots = [0, 1, 2, 3].map(() => ledger.acquireSlot());
        const leases: Lease[] = [];
        for (const { kind, slot, tokens } of steps) {
          if (kind === "charge") leases.push(ledger.charge(slots[slot] ?? 0, tokens));
          else if (kind === "prefill") leases[tokens % Math.max(1, leases.length)]?.prefillDone();
          else {
            const lease = leases[tokens % Math.max(1, leases.length)];
            lease?.[Symbol.dispose]();
            if (kind === "endTwice") lease?.[Symbol.dispose]();
          }
          for (const sum of Object.values(ledger.totals())) expect(sum).toBeGreaterThanOrEqual(0);
        }
        for (const lease of leases) lease[Symbol.dispose]();
        expect(ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
      }),
    );
  });

  test("the first token turns pending prompt tokens into a decoding sequence", () => {
    const ledger = new LoadLedger();
    const slot = ledger.acquireSlot();
    const lease = ledger.charge(slot, 700);
    expect([ledger.inFlight(slot), ledger.pendingPromptTokens(slot), ledger.decoding(slot)]).toEqual([1, 700, 0]);
    lease.prefillDone();
    expect([ledger.inFlight(slot), ledger.pendingPromptTokens(slot), ledger.decoding(slot)]).toEqual([1, 0, 1]);
  });

  test("the prompt's length is counted until the end, also where the worker has to prefill less of it", () => {
    const ledger = new LoadLedger();
    const slot = ledger.acquireSlot();
    const lease = ledger.charge(slot, 100, 700);
    lease.prefillDone();
    expect([ledger.pendingPromptTokens(slot), ledger.contextTokens(slot)]).toEqual([0, 700]);
    lease[Symbol.dispose]();
    expect(ledger.contextTokens(slot)).toBe(0);
  });

  test("a request that failed is in what policies see until that is given back, and in no other count", () => {
    const ledger = new LoadLedger();
    const slot = ledger.acquireSlot();
    const lease = ledger.charge(slot, 700, 900);
    const giveBack = lease.fail();
    expect([ledger.load(slot), ledger.failedPromptTokens(slot), ledger.inFlight(slot), ledger.finished(slot)]).toEqual([
      1, 700, 0, 1,
    ]);
    expect(ledger.contextTokens(slot)).toBe(900);
    expect(ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
    lease[Symbol.dispose]();
    expect([lease.fail(), ledger.load(slot)]).toEqual([undefined, 1]);
    ledger.releaseSlot(slot);
    const other = ledger.acquireSlot();
    expect(other).not.toBe(slot);
    giveBack?.();
    expect([ledger.load(slot), ledger.failedPromptTokens(slot), ledger.acquireSlot()]).toEqual([0, 0, slot]);
    expect(ledger.contextTokens(slot)).toBe(0);
  });

  test("a thread that dies gives back what it kept of failed requests as well", () => {
    const control = new LoadLedger({ threads: 1 });
    const slot = control.acquireSlot();
    const thread = new LoadLedger({ memory: control.memory, thread: 0 });
    thread.charge(slot, 5).fail();
    thread.charge(slot, 5);
    expect([control.load(slot), control.inFlight(slot), control.contextTokens(slot)]).toEqual([2, 1, 10]);
    control.releaseThread(0);
    expect(control.contextTokens(slot)).toBe(0);
    expect([control.load(slot), control.inFlight(slot), control.failedPromptTokens(slot)]).toEqual([0, 0, 0]);
  });

  test("a row with requests still in it does not go to another worker before they end", () => {
    const ledger = new LoadLedger();
    const slot = ledger.acquireSlot();
    const lease = ledger.charge(slot, 5);
    ledger.releaseSlot(slot);
    expect(ledger.acquireSlot()).not.toBe(slot);
    lease[Symbol.dispose]();
    expect(ledger.acquireSlot()).toBe(slot);
  });
});

describe("a ledger that threads share", () => {
  test("what a dead thread held goes back, and what others hold stays", () => {
    const control = new LoadLedger({ threads: 2 });
    const [one, two] = [0, 1].map((thread) => new LoadLedger({ memory: control.memory, thread }));
    const slot = control.acquireSlot();
    one?.charge(slot, 100);
    two?.charge(slot, 10);
    control.releaseThread(0);
    expect([control.inFlight(slot), control.pendingPromptTokens(slot)]).toEqual([1, 10]);
  });

  test("a proof of a dead thread goes back", () => {
    const control = new LoadLedger({ threads: 2 });
    const [one, two] = [0, 1].map((thread) => new LoadLedger({ memory: control.memory, thread }));
    const slot = control.acquireSlot();
    expect([one?.tryAcquireProbe(slot), two?.tryAcquireProbe(slot)]).toEqual([true, false]);
    control.releaseThread(0);
    expect(two?.tryAcquireProbe(slot)).toBe(true);
  });

  test("a thread that dies after the breaker has ended its proof takes no other thread's proof, nor the worker's last", () => {
    const control = new LoadLedger({ threads: 2 });
    const [one, two] = [0, 1].map((thread) => new LoadLedger({ memory: control.memory, thread }));
    const slot = control.acquireSlot();
    expect(one?.tryAcquireProbe(slot)).toBe(true);
    // The control thread releases the probe when it gets the outcome.
    control.releaseProbe(slot);
    expect(two?.tryAcquireProbe(slot)).toBe(true);
    control.releaseThread(0);
    expect(two?.tryAcquireProbe(slot)).toBe(false);
    control.releaseProbe(slot);
    control.releaseThread(1);
    expect(one?.tryAcquireProbe(slot)).toBe(true);
  });
});

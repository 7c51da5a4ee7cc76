import { describe, expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { WorkerDrainer } from "./worker-drainer.ts";

describe("drain", () => {
  test("a worker leaves with its last request, and gets no new one meanwhile", async () => {
    const { registry, ledger, clock, add } = setUpFleet();
    const drainer = new WorkerDrainer({ registry, clock });
    const worker = add("http://one:1", { modelId: "a" });
    const lease = ledger.charge(worker.slot, 1);
    const gone = drainer.drain(worker.id, 60_000);
    expect(registry.getWorkersForModel("a").workers).toEqual([]);
    clock.advance(10_000);
    expect(registry.get(worker.id)?.status).toBe("draining");
    lease[Symbol.dispose]();
    clock.advance(100);
    await gone;
    expect(registry.get(worker.id)).toBeUndefined();
  });

  test("or when its time is over", async () => {
    const { registry, ledger, clock, add } = setUpFleet();
    const drainer = new WorkerDrainer({ registry, clock });
    const worker = add("http://one:1");
    const lease = ledger.charge(worker.slot, 1);
    const gone = drainer.drain(worker.id, 5000);
    clock.advance(5100);
    await gone;
    expect(registry.get(worker.id)).toBeUndefined();
    lease[Symbol.dispose]();
    expect(ledger.totals().inFlight).toBe(0);
  });
});

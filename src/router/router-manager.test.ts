import { describe, expect, test } from "bun:test";
import { setUpDoor, spec } from "../../test/support/door.ts";
import { Secret } from "../util/secret.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";

const ONE = "http://one:1";

describe("a worker that is added", () => {
  test("is registered, probed, and has its model's policy", () => {
    const { door, registry, policies, watched, rows } = setUpDoor();
    const { success, worker } = door.addWorker(spec(ONE, "file", { modelId: "a", policyHint: "random" }));
    expect([success, registry.getByUrl(ONE)?.id, watched]).toEqual([true, worker.id, [worker.id]]);
    expect([policies.getPolicy("a", "regular")?.name, rows()]).toEqual(["random", [`${ONE} file`]]);
  });

  const wrong: readonly [what: string, change: Partial<WorkerSpec>, message: string][] = [
    ["another address than one of a worker", { url: "ftp://one:1" }, "the worker's url is wrong"],
    ["a policy that there is not", { policyHint: "nope" }, "nope"],
    ["a type that this gateway does not take", { workerType: "prefill" }, "not here"],
    ["the url of a worker that is there", { url: "HTTP://TAKEN:1/" }, "registered already"],
  ];
  for (const [what, change, message] of wrong) {
    test(`with ${what} is refused, and nothing is registered or probed`, () => {
      const { door, rows, watched } = setUpDoor({
        accepts: (type) => (type === "regular" ? undefined : "not here"),
      });
      door.addWorker(spec("http://taken:1", "api"));
      expect(() => door.addWorker({ ...spec(ONE, "api"), ...change })).toThrow(message);
      expect([rows(), watched.length]).toEqual([["http://taken:1 api"], 1]);
    });
  }
});

describe("a worker that is changed", () => {
  const before = spec(ONE, "api", { modelId: "a", apiKey: new Secret("k") });

  test("keeps its id, its url and its place, and speaks the protocol of its address as before", () => {
    const { door, registry } = setUpDoor();
    for (const url of [ONE, "grpc://one:1"]) {
      const { worker } = door.addWorker({ ...before, url });
      const changed = door.updateWorker(worker.id, { ...before, url, cost: 9 }).worker;
      expect([changed.id, changed.url, changed.connectionMode, changed.spec.cost]).toEqual([
        worker.id,
        url,
        worker.connectionMode,
        9,
      ]);
    }
    expect(registry.all().map(({ connectionMode }) => connectionMode)).toEqual(["http", "grpc"]);
  });

  test("is probed at once when it is uncordoned and is not ready, and otherwise at its time", () => {
    const { door, registry, returned } = setUpDoor();
    const { id } = door.addWorker({ ...before, isCordoned: true }).worker;
    door.updateWorker(id, { ...before, isCordoned: true, cost: 2 });
    expect(returned).toEqual([]);
    door.updateWorker(id, before);
    expect(returned).toEqual([id]);
    registry.update(id, { status: "ready" });
    door.updateWorker(id, { ...before, isCordoned: true });
    door.updateWorker(id, before);
    expect(returned).toEqual([id]);
  });

  test("is probed anew where its probes depend on the change, and only then", () => {
    const { door, watched } = setUpDoor();
    const { id } = door.addWorker(before).worker;
    for (const change of [{}, { priority: 1 }, { cost: 2 }, { labels: { zone: "a" } }, { source: "file" }]) {
      door.updateWorker(id, { ...before, ...change });
    }
    expect(watched).toEqual([id]);
    door.updateWorker(id, { ...before, apiKey: new Secret("other") });
    door.updateWorker(id, { ...before, apiKey: new Secret("other"), modelId: "b" });
    expect(watched).toEqual([id, id, id]);
  });

  const wrong: readonly [what: string, change: Partial<WorkerSpec>, message: string][] = [
    ["another url", { url: "http://two:1" }, "the url of a worker cannot change"],
    ["an address that is none", { url: "ftp://one:1" }, "the worker's url is wrong"],
    ["a policy that there is not", { policyHint: "nope" }, "nope"],
    ["a policy that its model would not get", { policyHint: "random" }, "has the policy round_robin"],
    ["a model that has another policy", { modelId: "b", policyHint: "round_robin" }, "has the policy random"],
    ["a type that this gateway does not take", { workerType: "prefill" }, "not here"],
  ];
  for (const [what, change, message] of wrong) {
    test(`to ${what} is refused, and stays as it was`, () => {
      const { door, registry, watched } = setUpDoor({
        accepts: (type) => (type === "regular" ? undefined : "not here"),
      });
      door.addWorker(spec("http://other:1", "api", { modelId: "b", policyHint: "random" }));
      const { id } = door.addWorker(before).worker;
      expect(() => door.updateWorker(id, { ...before, ...change })).toThrow(message);
      expect([registry.get(id)?.spec, watched.length]).toEqual([before, 2]);
    });
  }

  test("to a model of its own gets the policy that it brings, whatever the model had that it served before", () => {
    const { door, policies } = setUpDoor();
    const { id } = door.addWorker(before).worker;
    door.updateWorker(id, { ...before, modelId: "new", policyHint: "random" });
    expect(policies.getPolicy("new", "regular")?.name).toBe("random");
  });

  test("is not found where there is none, or where it drains", () => {
    const { door, registry, ledger } = setUpDoor();
    const { worker } = door.addWorker(before);
    using _lease = ledger.charge(worker.slot, 1);
    door.removeWorker(worker);
    expect(registry.get(worker.id)?.status).toBe("draining");
    for (const id of [worker.id, "nobody"])
      expect(() => door.updateWorker(id, before)).toThrow("no worker has this id");
  });
});

describe("drain", () => {
  test("a worker leaves with its last request, and gets no new one meanwhile", async () => {
    const { registry, ledger, clock, door, add } = setUpDoor();
    const worker = add("http://one:1", { modelId: "a" });
    const lease = ledger.charge(worker.slot, 1);
    const { gone } = door.removeWorker(worker);
    expect(registry.getWorkersForModel("a").workers).toEqual([]);
    clock.advance(10_000);
    expect(registry.get(worker.id)?.status).toBe("draining");
    lease[Symbol.dispose]();
    clock.advance(100);
    await gone;
    expect(registry.get(worker.id)).toBeUndefined();
  });

  test("or when its time is over", async () => {
    const { registry, ledger, clock, door, add } = setUpDoor({ drainTimeoutMs: 5000 });
    const worker = add("http://one:1");
    const lease = ledger.charge(worker.slot, 1);
    const { gone } = door.removeWorker(worker);
    clock.advance(5100);
    await gone;
    expect(registry.get(worker.id)).toBeUndefined();
    lease[Symbol.dispose]();
    expect(ledger.totals().inFlight).toBe(0);
  });

  test("a worker without requests has left at once, with its model's policy", () => {
    const { registry, policies, clock, door } = setUpDoor();
    const { worker } = door.addWorker(spec(ONE, "api", { modelId: "a" }));
    door.removeWorker(worker);
    expect([registry.all(), policies.getPolicy("a", "regular"), clock.pending]).toEqual([[], undefined, 0]);
    expect(() => door.removeWorker(worker)).toThrow("no worker has this id");
  });
});

describe("a worker that fails its checks", () => {
  const silent = (removesUnhealthy: boolean): { setup: ReturnType<typeof setUpDoor>; worker: Worker } => {
    const setup = setUpDoor({ removesUnhealthy });
    const { worker } = setup.door.addWorker(spec(ONE, "file"));
    return { setup, worker };
  };

  test("leaves through the door where that is wanted: its requests in flight may finish", () => {
    const { setup, worker } = silent(true);
    const lease = setup.ledger.charge(worker.slot, 1);
    setup.fallSilent(worker);
    expect(setup.rows()).toEqual([`${ONE} file draining`]);
    lease[Symbol.dispose]();
    setup.clock.advance(100);
    expect(setup.rows()).toEqual([]);
  });

  test("stays where that is not wanted, and once the door is closed", () => {
    const { setup, worker } = silent(false);
    setup.fallSilent(worker);
    expect(setup.rows()).toEqual([`${ONE} file`]);
    const closed = silent(true);
    closed.setup.door[Symbol.dispose]();
    closed.setup.fallSilent(closed.worker);
    expect(closed.setup.rows()).toEqual([`${ONE} file`]);
  });
});

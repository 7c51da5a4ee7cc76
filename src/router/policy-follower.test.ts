import { describe, expect, test } from "bun:test";
import type { Policy } from "../policy/policy.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import type { Worker } from "../worker/worker.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import { type FollowedChange, PolicyFollower } from "./policy-follower.ts";

const MODEL = "m";

interface Setup {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  readonly follower: PolicyFollower;
  readonly changes: readonly FollowedChange[];
  readonly errors: readonly object[];
  add(url: string): Worker;
}

function setUp(policy = "cache_aware", custom?: () => Policy): Setup {
  const ledger = new LoadLedger();
  const workers = new WorkerRegistry({ ledger });
  const memory = new PolicyMemory();
  const policies = new PolicyRegistry({
    defaultPolicy: { policy, config: {} },
    memory,
    custom: custom ? [{ name: policy, create: custom, check: () => undefined }] : [],
  });
  const errors: object[] = [];
  const ignore = (): void => undefined;
  const logger = { debug: ignore, info: ignore, warn: ignore, error: (fields: object) => void errors.push(fields) };
  const follower = new PolicyFollower({ workers, policies, memory, logger });
  const changes: FollowedChange[] = [];
  follower.onFollowed((change) => changes.push(change));
  const factory = new WorkerFactory({ ledger });
  return {
    workers,
    policies,
    follower,
    changes,
    errors,
    add: (url) => {
      const worker = factory.createFromUrl(url, { modelId: MODEL });
      workers.register(worker);
      return worker;
    },
  };
}

describe("policies follow the workers", () => {
  test("a model has its policy from its first worker to its last", () => {
    const { policies, workers, add } = setUp();
    const [one, two] = [add("http://one:1"), add("http://two:1")];
    const policy = policies.getPolicy(MODEL);
    expect(policy?.name).toBe("cache_aware");
    workers.remove(one.id);
    expect(policies.getPolicy(MODEL)).toBe(policy);
    workers.remove(two.id);
    expect(policies.getPolicy(MODEL)).toBeUndefined();
  });

  test("a worker that drains counts for its model no more", () => {
    const { policies, workers, add } = setUp();
    const one = add("http://one:1");
    workers.update(one.id, { status: "draining" });
    expect(policies.getPolicy(MODEL)).toBeUndefined();
  });

  test("a worker that leaves or falls silent is forgotten, and one that is probed is not", () => {
    const forgotten: string[] = [];
    const { workers, add } = setUp("own", () => ({
      name: "own",
      pick: () => 0,
      forget: (id) => void forgotten.push(id),
    }));
    const one = add("http://one:1");
    workers.update(one.id, { status: "ready" });
    expect(forgotten).toEqual([]);
    workers.update(one.id, { status: "not_ready" });
    // By the model's policy and by the default one.
    expect(forgotten).toEqual([one.id, one.id]);
    workers.remove(one.id);
    expect(forgotten.length).toBe(4);
  });

  test("a worker whose process began anew is forgotten, and one that tells the same start a little differently is not", () => {
    const forgotten: string[] = [];
    const { workers, add } = setUp("own", () => ({
      name: "own",
      pick: () => 0,
      forget: (id) => void forgotten.push(id),
    }));
    const { id, info } = add("http://one:1");
    const started = (startedAt: number | undefined): number => {
      forgotten.length = 0;
      workers.update(id, { status: "ready", info: { ...info, startedAt } });
      return forgotten.length;
    };
    const before = started(1_764_180_000_000);
    expect([before, started(1_764_180_000_900), started(1_764_180_000_000)]).toEqual([0, 0, 0]);
    expect(started(1_764_180_060_000)).toBe(2);
    expect(started(undefined)).toBe(0);
  });

  test("what a pending worker tells of its start makes nobody forget it", () => {
    const forgotten: string[] = [];
    const { workers, add } = setUp("own", () => ({
      name: "own",
      pick: () => 0,
      forget: (workerId) => void forgotten.push(workerId),
    }));
    const { id, info } = add("http://one:1");
    workers.update(id, { info: { ...info, startedAt: 1_700_000_000_000 } });
    workers.update(id, { status: "ready" });
    expect(forgotten).toEqual([]);
    workers.update(id, { info: { ...info, startedAt: 1_700_000_060_000 } });
    // By its policy, and by the one for requests without a model.
    expect(forgotten).toEqual([id, id]);
  });

  test("a policy that fails to forget keeps no worker from leaving", () => {
    const { workers, policies, errors, add } = setUp("own", () => ({
      name: "own",
      pick: () => 0,
      forget: () => {
        throw new Error("cannot");
      },
    }));
    const one = add("http://one:1");
    workers.remove(one.id);
    expect(errors).toMatchObject([{ worker: one.id, error: "Error: cannot" }]);
    expect(policies.getPolicy(MODEL)).toBeUndefined();
  });
});

describe("who hears that the policies have followed", () => {
  test("gets the change with the memory of the policies that it made, and later changes without it", () => {
    const { changes, add } = setUp();
    add("http://one:1");
    add("http://two:1");
    const [first, second] = changes;
    expect(first?.memory.map(([, bytes]) => bytes.byteLength > 0)).toContain(true);
    expect(first?.memory.some(([model]) => model === MODEL)).toBe(true);
    expect(second?.memory).toEqual([]);
    expect(changes.map(({ before, after }) => [before, after?.url])).toEqual([
      [undefined, "http://one:1"],
      [undefined, "http://two:1"],
    ]);
  });

  test("gets it whoever listened to the registry first", () => {
    const ledger = new LoadLedger();
    const workers = new WorkerRegistry({ ledger });
    const memory = new PolicyMemory();
    const policies = new PolicyRegistry({ defaultPolicy: { policy: "cache_aware", config: {} }, memory });
    let hadPolicy: boolean | undefined;
    workers.onChange(() => {
      hadPolicy = policies.getPolicy(MODEL) !== undefined;
    });
    const ignore = (): void => undefined;
    const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    const follower = new PolicyFollower({ workers, policies, memory, logger });
    const heard: boolean[] = [];
    follower.onFollowed(({ memory: made }) => {
      heard.push(policies.getPolicy(MODEL) !== undefined && made.some(([of]) => of === MODEL));
    });
    workers.register(new WorkerFactory({ ledger }).createFromUrl("http://one:1", { modelId: MODEL }));
    expect([hadPolicy, heard]).toEqual([false, [true]]);
  });

  test("hears nothing after the end", () => {
    const { follower, changes, policies, add } = setUp();
    follower[Symbol.dispose]();
    add("http://one:1");
    expect([changes.length, policies.getPolicy(MODEL)]).toEqual([0, undefined]);
  });
});

import { describe, expect, test } from "bun:test";
import { candidates, chosenBy, idleCandidate, requestWith } from "../../test/support/candidates.ts";
import type { PolicyMaker } from "./define-policy.ts";
import type { KeptPolicy } from "./kept-policy.ts";
import type { RequestFeatures } from "./policy.ts";
import { matchesGlob } from "./glob.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { PolicyRegistry } from "./policy-registry.ts";

const policy = (name: string): { policy: string; config: Record<string, number> } => ({ policy: name, config: {} });
const workers = candidates(0, 0, 0);

function create(): PolicyRegistry {
  return new PolicyRegistry(usual);
}

const usual = {
  defaultPolicy: policy("round_robin"),
  patterns: [
    { match: "llama-*", policy: { policy: "cache_aware", config: { cacheThreshold: 0.7 } } },
    { match: "*-instruct", policy: policy("shortest_queue") },
  ],
};

function withPattern(
  one: { policy: string; config: Record<string, number> },
  ...custom: PolicyMaker[]
): PolicyRegistry {
  return new PolicyRegistry({ ...usual, patterns: [{ match: "*", policy: one }], custom });
}

describe("a model's policy", () => {
  test("is its first worker's hint, before the first pattern that fits, before the default", () => {
    const registry = create();
    expect(registry.onWorkerAdded("llama-3", "random").name).toBe("random");
    expect(registry.onWorkerAdded("llama-3-instruct").name).toBe("cache_aware");
    expect(registry.onWorkerAdded("qwen-instruct").name).toBe("shortest_queue");
    expect(registry.onWorkerAdded("gpt").name).toBe("round_robin");
  });

  test("is an instance of its own: two models never share a counter", () => {
    const registry = create();
    const one = registry.onWorkerAdded("one");
    const two = registry.onWorkerAdded("two");
    expect([chosenBy(one, workers), chosenBy(one, workers)]).toEqual([0, 1]);
    expect(chosenBy(two, workers)).toBe(0);
    expect(chosenBy(registry.getDefaultPolicy(), workers)).toBe(0);
  });

  test("is kept while it has workers, and made anew after its last one has left", () => {
    const registry = create();
    const first = registry.onWorkerAdded("m");
    expect(registry.onWorkerAdded("m", "random")).toBe(first);
    registry.onWorkerRemoved("m");
    expect(registry.getPolicy("m")).toBe(first);
    registry.onWorkerRemoved("m");
    expect(registry.getPolicy("m")).toBeUndefined();
    expect(registry.onWorkerAdded("m", "random").name).toBe("random");
  });
});

test("an unknown policy is refused by name, with the known ones", () => {
  const registry = create();
  expect(() => registry.onWorkerAdded("m", "nope")).toThrow(
    'unknown policy "nope"; the policies are least_ttft, cache_aware',
  );
  expect(() => withPattern(policy("nope"))).toThrow("unknown policy");
  expect(() => new PolicyRegistry({ defaultPolicy: policy("nope") })).toThrow("unknown policy");
});

test("a policy of the operator's can be default, pattern and hint", () => {
  const last: PolicyMaker = {
    name: "last",
    create: () => ({ name: "last", pick: () => 2 }),
    check: () => undefined,
  };
  const registry = new PolicyRegistry({ defaultPolicy: policy("last"), custom: [last] });
  expect(chosenBy(registry.onWorkerAdded("m"), workers)).toBe(2);
  expect(registry.onWorkerAdded("n", "last").name).toBe("last");
});

describe("options of a policy", () => {
  /** Instances write down what they are made with; an option that is negative is refused. */
  function recording(): { readonly maker: PolicyMaker; readonly made: object[] } {
    const made: object[] = [];
    const check = (options: object): void => {
      if (Object.values(options).some((value) => value < 0)) throw new Error("negative");
    };
    const maker: PolicyMaker = {
      name: "own",
      check,
      create(options, { random, now }) {
        check(options);
        made.push({ ...options, drawn: random(), at: now() });
        return { name: "own", pick: () => 0 };
      },
    };
    return { maker, made };
  }

  test("are the gateway's, and a pattern's before them; instances get the gateway's clock and numbers", () => {
    const { maker, made } = recording();
    const registry = new PolicyRegistry({
      defaultPolicy: policy("random"),
      custom: [maker],
      options: { own: { near: 1, far: 2 } },
      random: () => 0.5,
      now: () => 7,
      patterns: [{ match: "llama-*", policy: { policy: "own", config: { far: 3 } } }],
    });
    registry.onWorkerAdded("llama-3");
    registry.onWorkerAdded("qwen", "own");
    expect(made).toEqual([
      { near: 1, far: 3, drawn: 0.5, at: 7 },
      { near: 1, far: 2, drawn: 0.5, at: 7 },
    ]);
  });

  test("that are wrong are refused where they are given, before a worker comes", () => {
    const { maker, made } = recording();
    expect(() => withPattern({ policy: "own", config: { far: -1 } }, maker)).toThrow("negative");
    expect(() => withPattern({ policy: "cache_aware", config: { cacheThreshold: 2 } }, maker)).toThrow(
      "the option cache_threshold of the policy cache_aware",
    );
    expect(made).toEqual([]);
  });
});

test("what it shows is what was configured and which model has what, and why", () => {
  const registry = create();
  registry.onWorkerAdded("llama-3");
  registry.onWorkerAdded("llama-3");
  expect(registry.describe()).toEqual({
    default: { policy: "round_robin", config: {} },
    patterns: [
      { match: "llama-*", policy: "cache_aware", config: { cacheThreshold: 0.7 } },
      { match: "*-instruct", policy: "shortest_queue", config: {} },
    ],
    models: [
      {
        model: "llama-3",
        policy: "cache_aware",
        source: "pattern",
        workers: 2,
        signals: [
          {
            signal: "prompt",
            needs: "a prompt in the request",
            requests: 0,
            without: 0,
            missing: false,
            instead: "takes the least loaded worker",
          },
        ],
      },
    ],
  });
});

describe("a signal that a policy lacks", () => {
  test("is told of with the model, the policy and what it does instead, once for all threads", () => {
    const memory = new PolicyMemory();
    const told: unknown[] = [];
    const make = (): PolicyRegistry =>
      new PolicyRegistry({
        defaultPolicy: { policy: "consistent_hashing", config: {} },
        memory,
        now: () => 1000,
        onSignal: (...news) => told.push(news),
      });
    const threads = [make(), make()].map((registry) => registry.onWorkerAdded("m", undefined, "prefill"));
    for (let count = 0; count < 100; count += 1) {
      for (const { signals } of threads) signals?.onPick(requestWith(), idleCandidate(0));
    }
    expect(told).toEqual([
      [
        { model: "m", role: "prefill", policy: "consistent_hashing", without: "takes the least loaded worker" },
        { signal: "routing_key", isMissing: true, share: 1 },
      ],
    ]);
  });
});

describe("sessions", () => {
  const sessions = { maxIdleSecs: 60, maxSessions: 64, overrideSecs: 1 };
  const keyed = requestWith({ routingKey: () => "a" });

  test("stay with any policy where the operator wants it, and are finished in all of them", () => {
    const registry = new PolicyRegistry({ defaultPolicy: { policy: "random", config: {} }, sessions, now: () => 0 });
    const policy = registry.onWorkerAdded("m");
    policy.affinity?.stayAt(workers, keyed);
    policy.affinity?.chosen(1);
    expect(policy.affinity?.stayAt(workers, keyed)).toBe(1);
    expect(registry.sessionTables().map(({ model, size }) => [model, size()])).toEqual([
      ["m", 1],
      ["", 0],
    ]);
    expect([registry.finishSession("a"), registry.finishSession("a")]).toEqual([true, false]);
    expect(policy.affinity?.stayAt(workers, keyed)).toBe(-1);
  });

  test("of a worker that left are forgotten", () => {
    const registry = new PolicyRegistry({ defaultPolicy: { policy: "random", config: {} }, sessions });
    const policy = registry.onWorkerAdded("m");
    policy.affinity?.stayAt(workers, keyed);
    policy.affinity?.chosen(1);
    registry.forgetWorker("m", "w1", 1);
    expect(policy.affinity?.stayAt(workers, keyed)).toBe(-1);
  });

  test("are the policy's own where it remembers them itself", () => {
    const registry = new PolicyRegistry({ defaultPolicy: { policy: "manual", config: {} }, sessions, now: () => 0 });
    const policy = registry.onWorkerAdded("m");
    const chosen = chosenBy(policy, workers, keyed);
    expect([policy.affinity, chosenBy(policy, workers, keyed)]).toEqual([undefined, chosen]);
    expect(registry.finishSession("a")).toBe(true);
  });

  test("are nobody's without the option", () => {
    const registry = new PolicyRegistry({ defaultPolicy: { policy: "random", config: {} } });
    expect([registry.onWorkerAdded("m").affinity, registry.sessionTables(), registry.finishSession("a")]).toEqual([
      undefined,
      [],
      false,
    ]);
  });
});

describe("globs", () => {
  test("stars, question marks and plain letters", () => {
    const cases: readonly [string, string, boolean][] = [
      ["llama-*", "llama-3", true],
      ["llama-*", "my-llama-3", false],
      ["*-instruct", "qwen-instruct", true],
      ["*a*b*", "xxaxxbxx", true],
      ["*a*b*", "xxbxxaxx", false],
      ["gpt-?", "gpt-4", true],
      ["gpt-?", "gpt-41", false],
      ["meta/*", "meta/llama/3", true],
      ["*", "", true],
      ["a.b", "axb", false],
      ["Llama", "llama", false],
    ];
    for (const [pattern, text, fits] of cases)
      expect([pattern, text, matchesGlob(pattern, text)]).toEqual([pattern, text, fits]);
  });

  test("the worst pattern on a long name is quick", () => {
    const started = performance.now();
    expect(matchesGlob("*a".repeat(50), "a".repeat(40) + "b".repeat(50_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(100);
  });
});

describe("a shadow policy", () => {
  const choices: string[] = [];
  const shadowed = (): PolicyRegistry => {
    choices.length = 0;
    return new PolicyRegistry({
      defaultPolicy: policy("passthrough"),
      shadows: [
        { match: "llama-*", policy: policy("round_robin") },
        { match: "*-instruct", policy: policy("shortest_queue") },
      ],
      shadowEvents: {
        onChoice: (model, shadow, { outcome, shadowCostS }) =>
          void choices.push(`${model} ${shadow} ${outcome} ${shadowCostS === undefined ? "without" : "with"} cost`),
        onFault: (name, error) => void choices.push(`${name} failed: ${String(error)}`),
      },
    });
  };

  test("is evaluated for the models of the first pattern that fits, with what its choice would cost", () => {
    const registry = shadowed();
    for (const model of ["llama-3-instruct", "qwen-instruct", "gpt"]) registry.onWorkerAdded(model);
    // The queue of the first worker is not the shortest.
    const loaded = candidates(3, 0, 1);
    for (const model of ["llama-3-instruct", "qwen-instruct", "gpt"]) {
      const chosen = registry.getPolicy(model);
      if (chosen) expect(chosenBy(chosen, loaded)).toBe(0);
    }
    expect(choices).toEqual([
      "llama-3-instruct round_robin same with cost",
      "qwen-instruct shortest_queue other with cost",
    ]);
  });

  test("is shown beside the policy", () => {
    const registry = shadowed();
    registry.onWorkerAdded("llama-3");
    registry.onWorkerAdded("gpt");
    expect(registry.describe().models.map(({ model, policy: name, shadow }) => [model, name, shadow])).toEqual([
      ["gpt", "passthrough", undefined],
      ["llama-3", "passthrough", "round_robin"],
    ]);
  });

  test("is none for workers of a pair", () => {
    const registry = shadowed();
    const pair = registry.onWorkerAdded("llama-3", undefined, "decode");
    expect(chosenBy(pair, candidates(0, 0))).toBe(0);
    expect([choices, registry.describe().models[0]?.shadow]).toEqual([[], undefined]);
  });

  test("has memory of its own, which threads share and which is dropped with the model", () => {
    const memory = new PolicyMemory();
    const registry = new PolicyRegistry({
      defaultPolicy: policy("round_robin"),
      memory,
      shadows: [{ match: "*", policy: policy("round_robin") }],
    });
    memory.takeUntold();
    registry.onWorkerAdded("m");
    const told = memory.takeUntold().map(([owner]) => owner);
    expect(told).toEqual(["m", "m\u0000shadow", "m\u0000judge"]);
    registry.onWorkerRemoved("m");
    expect(memory.all().filter(([owner]) => owner.startsWith("m"))).toEqual([]);
  });

  test("must be known, and its options must be its own", () => {
    const withShadow = (shadow: { policy: string; config: object }): PolicyRegistry =>
      new PolicyRegistry({
        ...usual,
        shadows: [{ match: "*", policy: { policy: shadow.policy, config: { ...shadow.config } } }],
      });
    expect(() => withShadow(policy("nope"))).toThrow("unknown policy");
    expect(() => withShadow({ policy: "round_robin", config: { cacheThreshold: 1 } })).toThrow("cache_threshold");
  });
});

describe("another choice of policies", () => {
  const choice = { roleDefaults: {}, options: {}, sessions: undefined, shadows: [], ...usual };

  test("gives a new policy to the models that it concerns, and the others keep theirs with what they have learnt", () => {
    const registry = create();
    const [llama, gpt, hinted] = [
      registry.onWorkerAdded("llama-3"),
      registry.onWorkerAdded("gpt"),
      registry.onWorkerAdded("qwen", "random"),
    ];
    expect(registry.replace({ ...choice, defaultPolicy: policy("shortest_queue") }, true)).toBe(true);
    expect(registry.getPolicy("llama-3")).toBe(llama);
    expect(registry.getPolicy("qwen")).toBe(hinted);
    expect(registry.getPolicy("gpt")).not.toBe(gpt);
    expect([registry.getPolicy("gpt")?.name, registry.getDefaultPolicy().name]).toEqual([
      "shortest_queue",
      "shortest_queue",
    ]);
    expect(registry.describe().default.policy).toBe("shortest_queue");
  });

  test("that is the same changes nothing", () => {
    const registry = create();
    const before = registry.onWorkerAdded("llama-3");
    expect(registry.replace(choice, true)).toBe(false);
    expect(registry.getPolicy("llama-3")).toBe(before);
  });

  test("is refused whole where a part of it is wrong", () => {
    const registry = create();
    const before = registry.onWorkerAdded("gpt");
    const wrong = { ...choice, defaultPolicy: policy("random"), patterns: [{ match: "*", policy: policy("nope") }] };
    expect(() => registry.replace(wrong, true)).toThrow("unknown policy");
    expect(() => registry.check(wrong)).toThrow("unknown policy");
    expect(registry.getPolicy("gpt")).toBe(before);
    expect(registry.onWorkerAdded("new").name).toBe("round_robin");
  });

  test("gets new memory on the thread that allocates it, and that memory on the others", () => {
    const [control, thread] = [new PolicyMemory(), new PolicyMemory()];
    const owner = new PolicyRegistry({ ...usual, memory: control });
    owner.onWorkerAdded("llama-3");
    for (const entry of control.all()) thread.put(entry);
    const replica = new PolicyRegistry({ ...usual, memory: thread });
    replica.onWorkerAdded("llama-3");
    const before = new Map(control.all()).get("llama-3");
    // Its index is as large as that of the policy before.
    const next = { ...choice, patterns: [{ match: "*", policy: policy("lmetric") }] };
    owner.replace(next, true);
    const after = new Map(control.all()).get("llama-3");
    expect(after).not.toBe(before);
    for (const entry of control.all()) thread.put(entry);
    replica.replace(next, false);
    expect(new Map(thread.all()).get("llama-3")).toBe(after);
  });

  const sessions = { maxIdleSecs: 60, maxSessions: 128, overrideSecs: 1 };
  const asking = (key: string): RequestFeatures => requestWith({ routingKey: () => key });

  test("of shadows and sessions leaves the policy itself as it is, with what it has learnt", () => {
    const registry = new PolicyRegistry({ ...choice, defaultPolicy: policy("lmetric") });
    const prompt = { promptBytes: () => Buffer.from("a prompt that one worker has".repeat(20)), promptTokens: 140 };
    const asked = (): number => chosenBy(known(registry, "gpt"), workers, requestWith(prompt));
    registry.onWorkerAdded("gpt");
    const [before, home] = [registry.getPolicy("gpt"), asked()];
    const shadows = [{ match: "gpt", policy: policy("random") }];
    for (const next of [
      { sessions },
      { sessions, shadows },
      { shadows },
      { sessions: { ...sessions, overrideSecs: 9 } },
      {},
    ]) {
      registry.replace({ ...choice, defaultPolicy: policy("lmetric"), ...next }, true);
      const now = known(registry, "gpt");
      expect(registry.describe().models[0]?.shadow).toBe("shadows" in next ? "random" : undefined);
      expect([now === before, now.affinity !== undefined]).toEqual([!("shadows" in next), "sessions" in next]);
      expect([asked(), asked(), asked()]).toEqual([home, home, home]);
    }
  });

  test("keeps sessions while there are any, whatever becomes of the policy, on all threads", () => {
    const [control, thread] = [new PolicyMemory(), new PolicyMemory()];
    const began = { ...choice, sessions };
    const [owner, replica] = [control, thread].map((memory) => new PolicyRegistry({ ...began, memory, now: () => 0 }));
    if (!owner || !replica) throw new Error("two registries");
    const share = (): void => {
      for (const entry of control.all()) thread.put(entry);
    };
    owner.onWorkerAdded("gpt");
    share();
    const first = known(replica, "gpt", () => replica.onWorkerAdded("gpt")).affinity;
    expect(first?.stayAt(workers, asking("s"))).toBe(-1);
    first?.chosen(2);
    for (const next of [
      { defaultPolicy: policy("random") },
      { shadows: [{ match: "*", policy: policy("random") }] },
      { sessions: { ...sessions, overrideSecs: 5, maxIdleSecs: 30 } },
    ]) {
      owner.replace({ ...began, ...next }, true);
      share();
      replica.replace({ ...began, ...next }, false);
      expect([owner, replica].map((one) => known(one, "gpt").affinity?.stayAt(workers, asking("s")))).toEqual([2, 2]);
    }
    owner.replace({ ...began, sessions: undefined }, true);
    owner.replace(began, true);
    expect(known(owner, "gpt").affinity?.stayAt(workers, asking("s"))).toBe(-1);
  });

  test.each([
    ["manual", { maxIdleSecs: 60 }, { maxIdleSecs: 60, assignmentMode: "min_load" }, true],
    ["manual", { maxSessions: 128 }, { maxSessions: 4096 }, false],
    ["cache_aware", { cacheThreshold: 0.5 }, { cacheThreshold: 0.2, balanceAbsThreshold: 5 }, true],
  ])("of options of %s from %j to %j keeps what it knows: %j", (name, from, to, isKept) => {
    const registry = new PolicyRegistry({ defaultPolicy: { policy: name, config: from }, random: () => 0.99 });
    const turn = requestWith({
      routingKey: () => "s",
      promptBytes: () => Buffer.from("a prompt that one worker has".repeat(20)),
    });
    registry.onWorkerAdded("gpt");
    const before = known(registry, "gpt");
    const home = chosenBy(before, workers, turn);
    registry.replace({ ...choice, patterns: [], defaultPolicy: { policy: name, config: to } }, true);
    const after = known(registry, "gpt");
    expect(after).not.toBe(before);
    // Without its memory it takes the worker with the least load.
    const busy = workers.map((worker, index) => ({ ...worker, inFlight: index === home ? 4 : 0 }));
    chosenBy(after, busy, turn);
    expect([after.sessions ? after.sessions.outcomes("kept") === 1 : after.lastReason === "cached_prefix"]).toEqual([
      isKept,
    ]);
  });
});

/** The model's policy, which there is. */
function known(registry: PolicyRegistry, model: string, begin?: () => void): KeptPolicy {
  begin?.();
  const policy = registry.getPolicy(model);
  if (!policy) throw new Error(`${model} has no policy`);
  return policy;
}

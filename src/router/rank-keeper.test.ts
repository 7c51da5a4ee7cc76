import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type DoorSetup, setUpDoor, spec } from "../../test/support/door.ts";
import type { Worker } from "../worker/worker.ts";
import { MAX_RANKS } from "../util/parse-worker-url.ts";
import type { RankSettings } from "./rank-keeper.ts";

const ONE = "http://one:1";
const AWARE: RankSettings = { isDpAware: true, dpSize: undefined };

/** A door, and an engine at ONE that says how many ranks it has. */
function setUp(ranks = AWARE): DoorSetup & { say: (dataParallelSize: number | undefined) => void } {
  const setup = setUpDoor({ ranks });
  const { registry } = setup;
  return {
    ...setup,
    say(dataParallelSize) {
      for (const { id } of registry.at(ONE)) {
        const worker = registry.get(id);
        if (worker && worker.status !== "draining")
          registry.update(id, { info: { ...worker.info, models: ["m"], dataParallelSize }, status: "ready" });
      }
    },
  };
}

const urls = ({ registry }: DoorSetup): string[] => registry.at(ONE).map(({ url }) => url);
const named = (...ranks: number[]): string[] => ranks.map((rank) => `${ONE}@${rank}`);
const at = ({ registry }: DoorSetup, rank: number): Worker => {
  const worker = registry.getByUrl(`${ONE}@${rank}`);
  if (!worker) throw new Error(`no rank ${rank}`);
  return worker;
};

describe("data-parallel ranks", () => {
  test("are workers of their own once the engine has said how many it has, with what is known of it", () => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file", { labels: { zone: "a" } }));
    expect([urls(setup), at(setup, 0).pinnedRank, setup.watched.length]).toEqual([named(0), undefined, 1]);
    setup.say(4);
    expect(urls(setup)).toEqual(named(0, 1, 2, 3));
    const ranks = setup.registry.at(ONE);
    expect(ranks.map(({ pinnedRank, models }) => [pinnedRank, models])).toEqual([0, 1, 2, 3].map((r) => [r, ["m"]]));
    expect(ranks.map((rank) => rank.spec.labels)).toEqual(ranks.map(() => ({ zone: "a" })));
    // The address is probed once, whatever stands behind it.
    expect(setup.watched.length).toBe(1);
  });

  test("have a model's policy, and a row of the ledger each", () => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file"));
    setup.say(3);
    expect(setup.policies.getPolicy("m", "regular")?.name).toBe("round_robin");
    using _lease = setup.ledger.charge(at(setup, 1).slot, 10);
    expect(setup.registry.at(ONE).map(({ inFlight }) => inFlight)).toEqual([0, 1, 0]);
  });

  test("of an engine with one rank, or that says nothing, are one worker, and no request names a rank", () => {
    for (const told of [1, undefined]) {
      const setup = setUp();
      setup.door.addWorker(spec(ONE, "file"));
      setup.say(told);
      expect([urls(setup), at(setup, 0).pinnedRank]).toEqual([named(0), undefined]);
    }
  });

  test("that nobody asked for leave the worker and its name as they are", () => {
    const setup = setUp({ isDpAware: false, dpSize: undefined });
    const { worker } = setup.door.addWorker(spec(ONE, "file"));
    setup.say(8);
    expect([urls(setup), worker.rank, setup.registry.all().length]).toEqual([[ONE], undefined, 1]);
  });

  const counts: readonly [
    title: string,
    settings: RankSettings,
    own: number | undefined,
    told: number | undefined,
    ranks: number,
  ][] = [
    ["given for all workers, where engines do not say", { isDpAware: false, dpSize: 2 }, undefined, undefined, 2],
    ["given for one worker", { isDpAware: false, dpSize: undefined }, 3, undefined, 3],
    ["given for one worker before those for all", { isDpAware: true, dpSize: 2 }, 3, undefined, 3],
    ["fewer than the engine has", AWARE, 2, 8, 2],
    ["more than the engine has: it has the last word", AWARE, 8, 2, 2],
  ];
  for (const [title, settings, dpSize, told, ranks] of counts) {
    test(`in the number ${title}`, () => {
      const setup = setUp(settings);
      setup.door.addWorker(spec(ONE, "file", { dpSize }));
      setup.say(told);
      expect(setup.registry.at(ONE).map(({ rank }) => rank?.of)).toEqual(Array.from({ length: ranks }, () => ranks));
    });
  }

  test("given as one are left to the engine", () => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file", { dpSize: 1 }));
    setup.say(8);
    expect(urls(setup)).toEqual([ONE]);
  });

  test("more than dp_size allows for are told, and so is a number that no engine has, which brings no worker", () => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file"));
    for (const told of [MAX_RANKS + 1, 1e9, Number.MAX_SAFE_INTEGER]) {
      setup.say(told);
      expect([urls(setup), at(setup, 0).pinnedRank]).toEqual([named(0), undefined]);
    }
    expect(setup.lines.filter(({ level }) => level === "warn").map(({ fields }) => fields)).toEqual(
      [MAX_RANKS + 1, 1e9, Number.MAX_SAFE_INTEGER].map((told) => ({ url: ONE, told, dp_size: undefined })),
    );
    setup.say(MAX_RANKS);
    expect(urls(setup).length).toBe(MAX_RANKS);
  });

  test("come and leave when the engine comes back with another number, and requests in flight may finish", () => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file"));
    setup.say(4);
    const { slot, id } = at(setup, 3);
    const lease = setup.ledger.charge(slot, 1);
    setup.say(2);
    expect(urls(setup)).toEqual(named(0, 1));
    expect(setup.registry.get(id)?.status).toBe("draining");
    lease[Symbol.dispose]();
    setup.clock.advance(100);
    expect([setup.registry.get(id), setup.registry.all().length]).toEqual([undefined, 2]);
    setup.say(3);
    expect(setup.registry.at(ONE).map(({ url, rank }) => [url, rank?.of])).toEqual(
      named(0, 1, 2).map((url) => [url, 3]),
    );
  });

  test("are 0 to N-1 after any numbers that an engine says, each once", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }), (told) => {
        const setup = setUp();
        setup.door.addWorker(spec(ONE, "file"));
        for (const ranks of told) setup.say(ranks);
        const last = told.at(-1) ?? 1;
        expect(setup.registry.at(ONE).map(({ rank }) => rank)).toEqual(
          Array.from({ length: last }, (_, index) => ({ index, of: last })),
        );
        expect(setup.registry.all().length).toBe(last);
      }),
    );
  });

  test("have a share each of the tokens that the engine keeps", () => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file", { kvCapacityTokens: 1001 }));
    expect(at(setup, 0).kvCapacityTokens).toBe(1001);
    setup.say(4);
    expect(at(setup, 2).kvCapacityTokens).toBe(250);
  });
});

describe("an address with ranks", () => {
  const four = (): ReturnType<typeof setUp> => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file"));
    setup.say(4);
    return setup;
  };

  test("is not added twice, neither with ranks nor without", () => {
    const setup = four();
    for (const dpSize of [undefined, 1, 8])
      expect(() => setup.door.addWorker(spec(ONE, "api", { dpSize }))).toThrow("registered already");
    expect(setup.registry.all().length).toBe(4);
  });

  test("is changed for all of its ranks, and probed again once where its probes depend on the change", () => {
    const setup = four();
    setup.door.updateWorker(at(setup, 2).id, spec(ONE, "file", { cost: 9, modelId: "n" }));
    expect(setup.registry.at(ONE).map(({ cost }) => cost)).toEqual([9, 9, 9, 9]);
    expect(setup.watched.length).toBe(2);
  });

  test("leaves with all of its ranks, by its source, by an operator or because it fails its checks", async () => {
    const setup = four();
    const { gone } = setup.door.removeWorker(at(setup, 3));
    await gone;
    expect(setup.rows()).toEqual([]);
    const silent = setUpDoor({ ranks: AWARE, removesUnhealthy: true });
    const { worker } = silent.door.addWorker(spec(ONE, "file"));
    silent.registry.update(worker.id, { info: { ...worker.info, dataParallelSize: 3 } });
    silent.fallSilent(worker);
    expect(silent.rows()).toEqual([]);
  });

  test("is replaced where its ranks are workers no longer, and where they become workers", () => {
    const setup = four();
    setup.door.updateWorker(at(setup, 0).id, spec(ONE, "file", { dpSize: 1 }));
    expect(setup.rows()).toEqual([`${ONE} file`]);
    setup.door.updateWorker(setup.registry.getByUrl(ONE)?.id ?? "", spec(ONE, "file", { dpSize: 2 }));
    setup.say(undefined);
    expect(urls(setup)).toEqual(named(0, 1));
  });

  test("is ready at once as what the options make of it, and is probed again", () => {
    const setup = four();
    for (const { id } of setup.registry.at(ONE)) setup.registry.update(id, { status: "ready" });
    const departure = { drainTimeoutMs: 1000, removesUnhealthy: false };
    const change = (isDpAware: boolean, dpSize?: number): readonly (readonly [string, string])[] => {
      setup.door.replace({ ...departure, ranks: { isDpAware, dpSize } });
      return setup.registry.at(ONE).map(({ url, status }) => [url, status] as const);
    };
    const ready = (...names: string[]): (readonly [string, string])[] => names.map((name) => [name, "ready"]);
    const probes = setup.watched.length;
    expect(change(false)).toEqual(ready(ONE));
    expect(setup.registry.getByUrl(ONE)?.models).toEqual(["m"]);
    expect(setup.watched.length).toBe(probes + 1);
    expect(change(true)).toEqual(ready(...named(0, 1, 2, 3)));
    expect(change(true, 2)).toEqual(ready(...named(0, 1)));
    expect(change(true)).toEqual(ready(...named(0, 1, 2, 3)));
    const before = setup.registry.at(ONE).map(({ id }) => id);
    change(true);
    expect(setup.registry.at(ONE).map(({ id }) => id)).toEqual(before);
    expect(change(true, 1)).toEqual(ready(ONE));
  });

  test("that has not answered yet begins with rank 0 when its ranks become workers", () => {
    const setup = setUp({ isDpAware: false, dpSize: undefined });
    setup.door.addWorker(spec(ONE, "file"));
    setup.door.replace({ drainTimeoutMs: 1000, removesUnhealthy: false, ranks: { isDpAware: true, dpSize: 4 } });
    expect(urls(setup)).toEqual(named(0));
  });

  test("has fewer or more ranks when its dp_size changes", () => {
    const setup = four();
    setup.door.updateWorker(at(setup, 0).id, spec(ONE, "file", { dpSize: 2 }));
    expect(urls(setup)).toEqual(named(0, 1));
    expect(setup.door.updateWorker(at(setup, 1).id, spec(ONE, "file", { dpSize: 3 })).worker.url).toBe(`${ONE}@1`);
    expect(urls(setup)).toEqual(named(0, 1, 2));
  });
});

describe("one rank", () => {
  const four = (): ReturnType<typeof setUp> => {
    const setup = setUp();
    setup.door.addWorker(spec(ONE, "file"));
    setup.say(4);
    return setup;
  };

  test("is cordoned, weighed and labelled alone, and nothing else of it is its own", () => {
    const setup = four();
    const { id, spec: before } = at(setup, 1);
    setup.door.updateRank(id, { ...before, isCordoned: true, priority: 3, cost: 2, labels: { a: "b" } });
    expect(setup.registry.at(ONE).map((rank) => [rank.spec.isCordoned, rank.priority])).toEqual([
      [false, 50],
      [true, 3],
      [false, 50],
      [false, 50],
    ]);
    for (const change of [{ modelId: "other" }, { dpSize: 2 }, { kvCapacityTokens: 5 }, { bootstrapPort: 9 }]) {
      expect(() => setup.door.updateRank(id, { ...before, ...change })).toThrow(`change ${ONE} for all of them`);
    }
  });

  test("is removed alone, stays away while the engine says the same, and is brought back", () => {
    const setup = four();
    setup.door.removeRank(at(setup, 0));
    setup.say(4);
    expect(urls(setup)).toEqual(named(1, 2, 3));
    expect(setup.registry.getByUrl(ONE)?.url).toBe(`${ONE}@1`);
    expect(setup.door.addRank(ONE, 0).worker.pinnedRank).toBe(0);
    expect(urls(setup)).toEqual(named(0, 1, 2, 3));
    expect(() => setup.door.addRank(ONE, 0)).toThrow("registered already");
    expect(() => setup.door.addRank(ONE, 4)).toThrow("are 0 to 3");
    expect(() => setup.door.addRank("http://two:1", 0)).toThrow("add the address first");
  });

  test("that was removed comes with another number of ranks, when the engine then has it anew", () => {
    const setup = four();
    setup.door.removeRank(at(setup, 3));
    setup.say(2);
    setup.say(4);
    expect(urls(setup)).toEqual(named(0, 1, 2, 3));
  });
});

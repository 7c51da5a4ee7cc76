import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FakeApi, type FakeObject } from "../../test/kubernetes/fake-api.ts";
import { settled } from "../../test/support/settled.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { ApiError } from "./api-client.ts";
import { ListWatch } from "./list-watch.ts";

interface Setup {
  readonly api: FakeApi;
  readonly clock: ManualClock;
  readonly list: ListWatch<string>;
  readonly changes: () => number;
  /** Why it ended. */
  readonly ended: () => unknown;
  readonly stop: () => void;
  start(): Promise<void>;
}

/** Follows objects by their names; objects called "none" are not of its kind. */
function setUp(): Setup {
  const api = new FakeApi();
  const clock = new ManualClock();
  const end = new AbortController();
  let changes = 0;
  let ended: unknown;
  const list = new ListWatch<string>({
    api,
    clock,
    random: () => 0,
    path: "/pods",
    query: {},
    read: (object) => {
      const name = (object as FakeObject)["value"];
      return typeof name === "string" ? name : undefined;
    },
    onChange: () => (changes += 1),
  });
  return {
    api,
    clock,
    list,
    changes: () => changes,
    ended: () => ended,
    stop: () => end.abort(),
    async start() {
      ended = undefined;
      void list.run(end.signal).then(
        () => (ended = "over"),
        (error: unknown) => (ended = error),
      );
      await settled();
    },
  };
}

describe("a collection", () => {
  test("is listed in pages, then watched from the version of the list", async () => {
    const { api, list, start } = setUp();
    api.pageSize = 2;
    for (const uid of ["a", "b", "c", "d", "e"]) api.put(uid, { value: uid });
    await start();
    expect(api.lists).toHaveLength(3);
    expect(list.values()).toEqual(["a", "b", "c", "d", "e"]);
    expect(api.watches[0]?.from).toBe("105");
  });

  test("without objects may have null for a list of them", async () => {
    const { api, list, start } = setUp();
    api.get = () => Promise.resolve({ metadata: { resourceVersion: "7" }, items: null });
    await start();
    expect([list.isListed, list.values(), api.watches[0]?.from]).toEqual([true, [], "7"]);
  });

  test("whose list expires between two of its pages is listed from the first one", async () => {
    const { api, list, start, ended } = setUp();
    api.pageSize = 2;
    for (const uid of ["a", "b", "c"]) api.put(uid, { value: uid });
    const whole = api.get.bind(api);
    api.get = (path, query) =>
      query["continue"] === undefined ? whole(path, query) : Promise.reject(new ApiError(410, "expired"));
    await start();
    expect([ended(), list.isListed]).toMatchObject([{ status: 410 }, false]);
    api.get = whole;
    await start();
    expect(list.values()).toEqual(["a", "b", "c"]);
  });

  test("follows what is added, changed and deleted", async () => {
    const { api, list, start, changes } = setUp();
    await start();
    api.say("ADDED", api.put("a", { value: "1" }));
    await settled();
    api.say("MODIFIED", api.put("a", { value: "2" }));
    api.say("ADDED", api.put("b", { value: "3" }));
    await settled();
    expect(list.values()).toEqual(["2", "3"]);
    api.say("DELETED", api.remove("a"));
    await settled();
    expect([list.values(), changes()]).toEqual([["3"], 5]);
  });

  test("takes back an object that left and is chosen again under the same uid, and no late news of before", async () => {
    const { api, list, start } = setUp();
    await start();
    const first = api.put("a", { value: "1" });
    api.say("ADDED", first);
    // Its labels have changed, so the selector no longer chooses it, and then chooses it again.
    const left = api.remove("a");
    api.say("DELETED", left);
    api.say("MODIFIED", first);
    await settled();
    expect(list.values()).toEqual([]);
    api.say("ADDED", api.put("a", { value: "2" }));
    await settled();
    expect(list.values()).toEqual(["2"]);
    api.say("DELETED", left);
    await settled();
    expect(list.values()).toEqual(["2"]);
  });

  test("goes on from the last version, bookmarks included, when the server ends a watch", async () => {
    const { api, start, clock } = setUp();
    await start();
    api.say("BOOKMARK", { metadata: { resourceVersion: "777" } });
    await settled();
    clock.advance(5000);
    api.endWatches("over");
    await settled();
    expect([api.watches.map(({ from }) => from), api.lists.length]).toEqual([["100", "777"], 1]);
  });

  test("is listed anew where the server no longer knows the version, whether it says so at once or in the watch", async () => {
    const { api, list, start, clock } = setUp();
    api.put("a", { value: "1" });
    await start();
    api.put("b", { value: "2" });
    api.remove("a");
    api.say("ERROR", { kind: "Status", code: 410, message: "too old" });
    await settled();
    clock.advance(1000);
    await settled();
    expect([list.values(), api.lists.length]).toEqual([["2"], 2]);
    api.endWatches(new ApiError(410, "gone"));
    await settled();
    clock.advance(1000);
    await settled();
    expect(api.lists).toHaveLength(3);
  });

  test("stays as it was while the server is away, and goes on from there", async () => {
    const { api, list, start, ended, changes } = setUp();
    api.put("a", { value: "1" });
    await start();
    api.endWatches(new ApiError(0, "reset"));
    await settled();
    expect(ended()).toMatchObject({ message: "reset" });
    expect(list.values()).toEqual(["1"]);
    const before = changes();
    await start();
    // It is told that the server is back, though nothing has changed.
    expect([api.lists.length, api.watches.at(-1)?.from, changes()]).toEqual([1, "101", before + 1]);
  });

  test("is listed anew where the server says that the version is yet to come, as one that was restored does", async () => {
    const { api, list, start, ended } = setUp();
    api.put("a", { value: "1" });
    await start();
    api.endWatches(new ApiError(504, "Timeout: Too large resource version: 101, current: 7"));
    await settled();
    expect([ended(), list.values()]).toMatchObject([{ status: 504 }, ["1"]]);
    api.remove("a");
    api.put("b", { value: "2" });
    await start();
    expect([list.values(), api.lists.length]).toEqual([["2"], 2]);
  });

  test("is no longer waited for when a watch outlives its time by 20 s", async () => {
    const { api, start, clock } = setUp();
    await start();
    clock.advance(259_999);
    await settled();
    expect(api.watches).toHaveLength(1);
    clock.advance(2);
    await settled();
    expect(api.watches).toHaveLength(2);
  });

  test("is asked once a second at most by a server that ends each watch at once", async () => {
    const { api, start, clock } = setUp();
    await start();
    for (let second = 0; second < 5; second += 1) {
      api.endWatches("over");
      await settled();
      clock.advance(1000);
      await settled();
    }
    expect(api.watches).toHaveLength(6);
  });

  test("leaves out what is none of its kind", async () => {
    const { api, list, start } = setUp();
    api.put("a", { value: "1" });
    api.put("b", { value: 7 });
    await start();
    api.say("MODIFIED", api.put("a", { value: 7 }));
    await settled();
    expect(list.values()).toEqual([]);
  });

  test("ends when it is told to", async () => {
    const { start, stop, ended } = setUp();
    await start();
    stop();
    await settled();
    expect(ended()).toBe("over");
  });

  test("comes to the truth however often events are doubled, and in whatever order they come", async () => {
    const step = fc.record({ uid: fc.constantFrom("a", "b", "c"), isDelete: fc.boolean(), isSame: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.infiniteStream(fc.nat(99)), async (steps, draws) => {
        const { api, list, start, stop } = setUp();
        await start();
        const events: [string, FakeObject][] = [];
        let count = 0;
        for (const { uid, isDelete, isSame } of steps) {
          const known = [...api.objects.keys()].find((key) => key.startsWith(uid));
          count += 1;
          if (isDelete && known !== undefined) events.push(["DELETED", api.remove(known)]);
          // What is made again has another uid; what is chosen again, because its labels have changed, has the same.
          else if (known === undefined)
            events.push(["ADDED", api.put(isSame ? uid : `${uid}${count}`, { value: String(count) })]);
          else events.push(["MODIFIED", api.put(known, { value: String(count) })]);
        }
        const mixed = [...events, ...events].map((event) => ({ event, at: draws.next().value ?? 0 }));
        for (const { event } of mixed.toSorted((one, other) => one.at - other.at)) api.say(...event);
        await settled();
        for (let turn = 0; turn < 5; turn += 1) await settled();
        const truth = [...api.objects.values()].map((object) => String(object["value"]));
        expect(list.values().toSorted()).toEqual(truth.toSorted());
        stop();
      }),
      { numRuns: 200 },
    );
  });
});

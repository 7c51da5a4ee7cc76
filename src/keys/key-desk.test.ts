import { describe, expect, test } from "bun:test";
import { fixed, keyNamed, ringOf } from "../../test/support/keys.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryKeyStore } from "../../test/support/memory-key-store.ts";
import { KeyAdmin } from "./key-admin.ts";
import { KeyDesk } from "./key-desk.ts";
import { StoreFollower } from "./store-follower.ts";

const DAY_SECS = 86_400;

function setUp(): {
  readonly desk: KeyDesk;
  readonly store: MemoryKeyStore;
  readonly ring: ReturnType<typeof ringOf>;
  /** The name of the key's owner; `expired`, or undefined where there is none. */
  who(text: string): string | undefined;
} {
  const store = new MemoryKeyStore();
  const ring = ringOf(fixed([keyNamed("in-file")]));
  const table = ring.table();
  return {
    store,
    ring,
    desk: new KeyDesk({ ring, store, onChange: () => undefined }),
    who(text) {
      const found = table.find(text);
      return typeof found === "object" ? found.principal.name : found;
    },
  };
}

describe("a key that is made while the gateway runs", () => {
  test("is in force at once, is shown once, and is kept as a digest", async () => {
    const { desk, store, who } = setUp();
    const { text, view, record } = await desk.create({ name: "team", models: ["a-*"], requests_per_minute: 9 });
    expect(text).toMatch(/^pm-[a-z2-9]{12}-[\w-]{43}$/);
    expect(text.split("-")[1]).toBe(record.id);
    expect(who(text)).toBe("team");
    const shown = JSON.stringify([view, await desk.list(9), await desk.show("team"), await store.list(9)]);
    expect(shown).not.toContain(text.slice(16));
    expect(view).toMatchObject({
      name: "team",
      state: "valid",
      models: ["a-*"],
      requests_per_minute: 9,
      roles: ["client"],
    });
  });

  test("can be changed, and a limit be taken away", async () => {
    const { desk } = setUp();
    await desk.create({ name: "team", models: ["a"], tokens_per_minute: 5, expires_in_secs: 60 });
    const { view } = await desk.update("team", {
      name: "crew",
      models: null,
      tokens_per_minute: null,
      expires_at: null,
      priority: "low",
    });
    expect(view).toMatchObject({
      name: "crew",
      models: null,
      tokens_per_minute: null,
      expires_at: null,
      priority: "low",
    });
  });

  test("that is rotated keeps its id, and its old text for the grace time; an earlier one is gone", async () => {
    const { desk, who } = setUp();
    const first = await desk.create({ name: "team" });
    const second = await desk.rotate("team", {});
    expect([who(first.text), who(second.text), second.record.id]).toEqual(["team", "team", first.record.id]);
    const third = await desk.rotate("team", { grace_secs: 60 });
    expect([first, second, third].map(({ text }) => who(text))).toEqual([undefined, "team", "team"]);
    const fourth = await desk.rotate("team", { grace_secs: 0 });
    expect([third, fourth].map(({ text }) => who(text))).toEqual([undefined, "team"]);
  });

  test("that is revoked is gone at once, in both texts, and stays in the list", async () => {
    const { desk, who } = setUp();
    const first = await desk.create({ name: "team" });
    const second = await desk.rotate("team", {});
    expect((await desk.revoke("team")).view).toMatchObject({ state: "revoked" });
    expect([who(first.text), who(second.text)]).toEqual([undefined, undefined]);
    expect(desk.update("team", { priority: "low" })).rejects.toMatchObject({ code: "key_not_found" });
    expect((await desk.revoke("team")).view).toMatchObject({ state: "revoked" });
    expect((await desk.list(9)).map((view) => (view as { state: string }).state)).toEqual(["valid", "revoked"]);
  });

  test("is refused with the member that is wrong, and nothing is made then", async () => {
    const { desk } = setUp();
    const wishes: readonly (readonly [unknown, string])[] = [
      [{}, "name"],
      [{ name: "a\nb" }, "name"],
      [{ name: "a", roles: ["root"] }, "roles.0"],
      [{ name: "a", requests_per_minute: 0 }, "requests_per_minute"],
      [{ name: "a", tokens: 1 }, "tokens"],
      [{ name: "a", expires_at: "2020-01-01T00:00:00Z" }, "expires_at"],
      [{ name: "a", expires_at: "2999-01-01T00:00:00Z", expires_in_secs: 1 }, "expires_at"],
      [{ name: "in-file" }, "name"],
    ];
    for (const [wish, param] of wishes) {
      const error: unknown = await desk.create(wish).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ details: { param } });
    }
    expect(await desk.list(9)).toHaveLength(1);
  });
});

test("a key of the configuration is shown, and is changed there only", async () => {
  const { desk } = setUp();
  expect(await desk.show("in-file")).toMatchObject({ name: "in-file", origin: "configuration", created_at: null });
  for (const change of [desk.update("in-file", {}), desk.rotate("in-file", {}), desk.revoke("in-file")]) {
    expect(change).rejects.toMatchObject({ code: "key_is_fixed" });
  }
});

test("without a store the keys of the configuration are shown, and none is made", async () => {
  const desk = new KeyDesk({ ring: ringOf(fixed([keyNamed("a")])), store: undefined, onChange: () => undefined });
  expect(await desk.list(9)).toHaveLength(1);
  expect(desk.create({ name: "b" })).rejects.toMatchObject({ code: "no_key_store" });
  expect(desk.usage({ window: "day", from: 0, to: 1, by: [], limit: 1 })).rejects.toMatchObject({
    code: "no_key_store",
  });
  expect(desk.show("b")).rejects.toMatchObject({ code: "key_not_found" });
});

describe("what another process changes in the store", () => {
  const settle = async (): Promise<void> => {
    for (let step = 0; step < 20; step += 1) await Promise.resolve();
  };

  test("is in force half a second later, and is told apart from what this one has changed", async () => {
    const { store, ring, who } = setUp();
    const clock = new ManualClock();
    const outside = new KeyAdmin(store);
    const before = await outside.create({ name: "before" });
    const foreign: string[] = [];
    const lines: string[] = [];
    const logger = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (_: object, text?: string) => void lines.push(text ?? ""),
    };
    const parts = {
      store,
      ring,
      clock,
      logger,
      onForeignChange: ({ name }: { name: string }) => void foreign.push(name),
    };
    using follower = await StoreFollower.start(parts);
    const desk = new KeyDesk({ ring, store, onChange: (record) => follower.noteOwn(record) });
    expect(who(before.text)).toBe("before");
    const own = await desk.create({ name: "own" });
    const after = await outside.create({ name: "after", expires_in_secs: DAY_SECS });
    await outside.revoke("before");
    clock.advance(500);
    await settle();
    expect([before, own, after].map(({ text }) => who(text))).toEqual([undefined, "own", "after"]);
    expect(foreign).toEqual(["after", "before"]);
    store.failure = new Error("gone");
    clock.advance(500);
    await settle();
    clock.advance(500);
    await settle();
    expect([who(after.text), lines.length]).toEqual(["after", 1]);
    store.failure = undefined;
    await outside.revoke("after");
    clock.advance(500);
    await settle();
    expect(who(after.text)).toBeUndefined();
  });
});

const ignore = (): void => undefined;

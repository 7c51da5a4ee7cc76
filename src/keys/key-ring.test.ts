import { describe, expect, test } from "bun:test";
import { fixed, keyNamed } from "../../test/support/keys.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { KeyRing } from "./key-ring.ts";
import type { KeyRecord } from "./key-record.ts";

/** Most keys of the rings here. */
const MOST = 1024;

function setUp(records: readonly KeyRecord[] = []): { readonly ring: KeyRing; at(time: number): void } {
  let now = 0;
  const parts = { fixed: fixed(records), capacity: 0, threads: 1, clock: new ManualClock() };
  return { ring: new KeyRing({ ...parts, wallNow: () => now }), at: (time) => void (now = time) };
}

function storeKeys(count: number, said: Partial<KeyRecord>): KeyRecord[] {
  return Array.from({ length: count }, (_, index) => keyNamed(`stored-${index}`, said));
}

/** 256 patterns, some 8 KiB. */
const MANY_MODELS = Array.from({ length: 256 }, (_, index) => `organisation/some-model-${index}-*`);

describe("keys of a store that have expired", () => {
  test("make room for new ones, and the configuration's keys stay", () => {
    const { ring, at } = setUp([keyNamed("in-file", { expiresAt: 10 })]);
    for (const record of storeKeys(MOST - 1, { expiresAt: 10 })) ring.apply(record);
    expect(() => ring.checkRoom()).toThrow("1024 keys at most");
    expect(() => ring.apply(keyNamed("new"))).toThrow("1024 keys at most");
    at(10);
    expect(ring.table().find("stored-5")).toBe("expired");
    ring.checkRoom();
    ring.apply(keyNamed("new"));
    expect(ring.table().find("new")).toMatchObject({ principal: { name: "new" } });
    expect(ring.table().find("in-file")).toBe("expired");
  });

  test("make room for those of a changed configuration", () => {
    const { ring, at } = setUp();
    for (const record of storeKeys(MOST, { expiresAt: 10 })) ring.apply(record);
    expect(() => ring.replace(fixed([keyNamed("new")]))).toThrow("start it anew");
    at(10);
    ring.replace(fixed([keyNamed("new")]));
    expect(ring.table().find("new")).toMatchObject({ principal: { name: "new" } });
  });
});

describe("the models of keys", () => {
  test("find room however long their lists are in the configuration, and after each reload", () => {
    const records = Array.from({ length: 300 }, (_, index) => keyNamed(`k${index}`, { models: MANY_MODELS }));
    const { ring } = setUp(records);
    for (let round = 0; round < 10; round += 1) ring.replace(fixed(records));
    expect(ring.table().find("k299")).toMatchObject({ principal: { models: MANY_MODELS } });
  });

  test("that find no room leave the keys of before in force, and are told as what they are", () => {
    const { ring } = setUp([keyNamed("a")]);
    const long = Array.from({ length: 300 }, (_, index) => keyNamed(`k${index}`, { models: MANY_MODELS }));
    expect(() => ring.replace(fixed(long))).toThrow("more text than the gateway has room for");
    expect(ring.table().find("a")).toMatchObject({ principal: { name: "a" } });
    expect(ring.table().find("k0")).toBeUndefined();
  });
});

import { expect, test } from "bun:test";
import { ManualClock } from "../../support/manual-clock.ts";
import { type Kv, KvStore } from "./kv-store.ts";

const KV: Kv = { prompt: "p", tokens: 7, cachedTokens: 0, rank: 0, agreed: {} };
const NEVER = new AbortController().signal;

function setUp() {
  const clock = new ManualClock();
  let expired = 0;
  const store = new KvStore(clock, 1000, () => (expired += 1));
  return { clock, store, expired: () => expired };
}

test("a key is one request's own", () => {
  const { store } = setUp();
  expect(store.claim("a")).toBe(true);
  expect(store.claim("a")).toBe(false);
  expect(store.claim("b")).toBe(true);
});

test("who asks before it is computed gets it when it is, and only once", async () => {
  const { store } = setUp();
  const early = store.find("a", 100, NEVER);
  store.publish("a", KV);
  expect(await early).toEqual({ kv: KV });
  expect(store.heldTokens).toBe(7);
  store.take("a");
  expect(store.heldTokens).toBe(0);
  expect(await store.find("a", 100, NEVER)).toEqual({ news: "taken" });
});

test("waiting ends with the time, the client or the other side", async () => {
  const { clock, store } = setUp();
  const late = store.find("a", 100, NEVER);
  clock.advance(100);
  expect(await late).toEqual({ news: "timeout" });
  expect(await store.find("a", 100, AbortSignal.abort())).toEqual({ news: "aborted" });
  const dropped = store.find("b", 100, NEVER);
  store.drop("b");
  expect(await dropped).toEqual({ news: "dropped" });
  expect(clock.pending).toBe(0);
});

test("KV that nobody fetches is given up after its lease", async () => {
  const { clock, store, expired } = setUp();
  store.publish("a", KV);
  const taken = store.whenTaken("a", 5000, NEVER);
  clock.advance(1000);
  expect(await taken).toBe("expired");
  expect([store.heldTokens, expired()]).toEqual([0, 1]);
  expect(clock.pending).toBe(0);
});

import { describe, expect, test } from "bun:test";
import { createCacheAware, DEFAULT_CACHE_AWARE_OPTIONS } from "./cache-aware.ts";
import type { Candidate, Policy, RequestFeatures } from "./policy.ts";
import { PrefixIndex } from "./prefix-index.ts";

class FakeWorker implements Candidate {
  readonly id: string;
  readonly url: string;
  readonly slot: number;
  inFlight = 0;
  readonly pendingPromptTokens = 0;

  constructor(index: number) {
    this.id = `w${index}`;
    this.url = `http://w${index}`;
    this.slot = index;
  }
}

function fleet(count: number): FakeWorker[] {
  return Array.from({ length: count }, (_, index) => new FakeWorker(index));
}

function prompt(text: string): RequestFeatures {
  const bytes = Buffer.from(text);
  return { model: "m", promptTokens: bytes.length / 4, promptBytes: () => bytes, routingKey: () => undefined };
}

/** Text that no other seed begins with. */
function story(seed: string, length = 2000): string {
  return `${seed} `.repeat(Math.ceil(length / (seed.length + 1))).slice(0, length);
}

const create = (options = {}): Policy => createCacheAware({ ...DEFAULT_CACHE_AWARE_OPTIONS, ...options });

describe("affinity", () => {
  test("a conversation's next turn goes where the last one went", () => {
    const policy = create();
    const workers = fleet(4);
    for (const name of ["ann", "bob", "cleo", "dan"]) {
      const first = policy.select(workers, prompt(story(name)));
      const chosen = workers[first];
      if (chosen) chosen.inFlight += 1;
      expect(policy.select(workers, prompt(`${story(name)} and what then? ${story("more", 300)}`))).toBe(first);
    }
  });

  test("siblings that follow at once go to the same worker, though its answer is not there yet", () => {
    const policy = create();
    const workers = fleet(4);
    const first = policy.select(workers, prompt(story("shared", 5000)));
    for (let count = 0; count < 5; count += 1) {
      const chosen = workers[first];
      if (chosen) chosen.inFlight += 1;
      expect(policy.select(workers, prompt(`${story("shared", 5000)} question ${count}`))).toBe(first);
    }
  });

  test("a match below the threshold is none: the least loaded is taken", () => {
    const policy = create({ cacheThreshold: 0.5 });
    const workers = fleet(2);
    const first = policy.select(workers, prompt(story("intro", 1000)));
    const busy = workers[first];
    if (busy) busy.inFlight = 3;
    expect(policy.select(workers, prompt(story("intro", 1000) + story("else", 4000)))).toBe(1 - first);
  });

  test("a prompt shorter than a block goes to the least loaded", () => {
    const policy = create();
    const workers = fleet(3);
    policy.select(workers, prompt("hi"));
    for (const worker of workers) worker.inFlight = worker.id === "w2" ? 0 : 5;
    expect(policy.select(workers, prompt("hi"))).toBe(2);
  });
});

describe("load", () => {
  test("a worker past its own bound sheds its load, and nobody else loses affinity", () => {
    const policy = create({ balanceAbsThreshold: 4 });
    const workers = fleet(4);
    const home = new Map<string, number>();
    for (const name of ["ann", "bob", "cleo", "dan"]) {
      const index = policy.select(workers, prompt(story(name)));
      home.set(name, index);
      const worker = workers[index];
      if (worker) worker.inFlight += 1;
    }
    expect(new Set(home.values()).size).toBe(4);
    const hot = workers[home.get("ann") ?? 0];
    if (hot) hot.inFlight = 50;
    expect(policy.select(workers, prompt(`${story("ann")} next`))).not.toBe(home.get("ann"));
    for (const name of ["bob", "cleo", "dan"]) {
      expect(policy.select(workers, prompt(`${story(name)} next`))).toBe(home.get(name) ?? -1);
    }
  });

  test("prompts that share one system prompt do not all end at one worker", () => {
    const policy = create({ balanceAbsThreshold: 8 });
    const workers = fleet(8);
    const system = story("You are a helpful assistant.", 4000);
    const running: FakeWorker[] = [];
    let most = 0;
    for (let count = 0; count < 800; count += 1) {
      const worker = workers[policy.select(workers, prompt(`${system} user ${count} ${story(`q${count}`, 600)}`))];
      if (!worker) continue;
      worker.inFlight += 1;
      running.push(worker);
      if (running.length > 64) {
        const done = running.shift();
        if (done) done.inFlight -= 1;
      }
      most = Math.max(most, ...workers.map((each) => each.inFlight));
    }
    expect(most).toBeLessThanOrEqual(8 + 9);
    expect(workers.filter((worker) => worker.inFlight > 0).length).toBe(8);
  });
});

test("a worker that has left is not remembered, and its successor does not inherit", () => {
  const policy = create();
  const workers = fleet(2);
  const first = policy.select(workers, prompt(story("ann")));
  const gone = workers[first];
  policy.forget?.(gone?.id ?? "", first);
  const successor = new FakeWorker(first);
  successor.inFlight = 3;
  const now = workers.map((worker, index) => (index === first ? successor : worker));
  expect(policy.select(now, prompt(`${story("ann")} next`))).toBe(1 - first);
});

describe("the index", () => {
  const depthOf = (index: PrefixIndex, text: string): number => {
    index.read(Buffer.from(text));
    return index.match(new Int32Array(4));
  };

  test("stays within its size under prompts without end, and keeps what is used", () => {
    const index = new PrefixIndex(1024 * 1024);
    const kept = story("kept", 1280);
    index.read(Buffer.from(kept));
    index.insert(0);
    for (let count = 0; count < 20_000; count += 1) {
      index.read(Buffer.from(story(`once ${count}`, 512)));
      index.insert(count % 4);
      if (count % 50 === 0) {
        index.read(Buffer.from(kept));
        index.insert(0);
      }
    }
    expect(depthOf(index, kept)).toBe(10);
    expect(depthOf(index, story("once 5", 512))).toBe(0);
  });

  test("tells a prompt from one that differs in its first byte only", () => {
    const index = new PrefixIndex(1024 * 1024);
    index.read(Buffer.from(`a${story("x", 1279)}`));
    index.insert(0);
    expect(depthOf(index, `a${story("x", 1279)}`)).toBe(10);
    expect(depthOf(index, `b${story("x", 1279)}`)).toBe(0);
  });

  test("reads bytes that do not begin at a multiple of four", () => {
    const index = new PrefixIndex(1024 * 1024);
    const text = story("aligned", 1280);
    index.read(Buffer.from(text));
    index.insert(0);
    const shifted = new Uint8Array(Buffer.from(`zz${text}`)).subarray(2);
    index.read(shifted);
    expect(index.match(new Int32Array(4))).toBe(10);
  });
});

import { describe, expect, test } from "bun:test";
import { chosenBy, createPolicy, idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { cacheAware } from "./cache-aware.ts";
import type { Candidate, Policy, RequestFeatures } from "./policy.ts";

/** A candidate whose load a test may change. */
type FakeWorker = Candidate & { inFlight: number };

function fakeWorker(slot: number): FakeWorker {
  return { ...idleCandidate(slot) };
}

function fleet(count: number): FakeWorker[] {
  return Array.from({ length: count }, (_, slot) => fakeWorker(slot));
}

function prompt(text: string): RequestFeatures {
  const bytes = Buffer.from(text);
  return requestWith({ promptTokens: bytes.length / 4, promptBytes: () => bytes });
}

/** Text that no other seed begins with. */
function story(seed: string, length = 2000): string {
  return `${seed} `.repeat(Math.ceil(length / (seed.length + 1))).slice(0, length);
}

const create = (options = {}): Policy => createPolicy(cacheAware, options);

describe("affinity", () => {
  test("a conversation's next turn goes where the last one went", () => {
    const policy = create();
    const workers = fleet(4);
    for (const name of ["ann", "bob", "cleo", "dan"]) {
      const first = chosenBy(policy, workers, prompt(story(name)));
      const chosen = workers[first];
      if (chosen) chosen.inFlight += 1;
      expect(chosenBy(policy, workers, prompt(`${story(name)} and what then? ${story("more", 300)}`))).toBe(first);
    }
  });

  test("siblings that follow at once go to the same worker, though its answer is not there yet", () => {
    const policy = create();
    const workers = fleet(4);
    const first = chosenBy(policy, workers, prompt(story("shared", 5000)));
    for (let count = 0; count < 5; count += 1) {
      const chosen = workers[first];
      if (chosen) chosen.inFlight += 1;
      expect(chosenBy(policy, workers, prompt(`${story("shared", 5000)} question ${count}`))).toBe(first);
    }
  });

  test("a match below the threshold is none: the least loaded is taken", () => {
    const policy = create({ cacheThreshold: 0.5 });
    const workers = fleet(2);
    const first = chosenBy(policy, workers, prompt(story("intro", 1000)));
    const busy = workers[first];
    if (busy) busy.inFlight = 3;
    expect(chosenBy(policy, workers, prompt(story("intro", 1000) + story("else", 4000)))).toBe(1 - first);
  });

  test("a prompt shorter than a block goes to the least loaded", () => {
    const policy = create();
    const workers = fleet(3);
    chosenBy(policy, workers, prompt("hi"));
    for (const worker of workers) worker.inFlight = worker.id === "w2" ? 0 : 5;
    expect(chosenBy(policy, workers, prompt("hi"))).toBe(2);
  });
});

describe("second attempts", () => {
  test("are chosen by the hashes of the first one: a prompt is hashed once over three attempts, and for both workers of a pair", () => {
    const [prefill, decode] = [create(), create()];
    const workers = fleet(4);
    let asked = 0;
    const bytes = Buffer.from(story("long", 5000));
    const request = requestWith({ promptBytes: () => ((asked += 1), bytes) });
    let left: readonly Candidate[] = workers;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const lost = chosenBy(prefill, left, request);
      chosenBy(decode, workers, request);
      left = left.filter((_, index) => index !== lost);
    }
    expect(asked).toBe(1);
    expect(left.length).toBe(1);
  });

  test("go to the next worker that has seen the prompt, and teach that the third one was sent it", () => {
    const policy = create();
    const workers = fleet(3);
    for (const slot of [0, 1]) chosenBy(policy, workers.slice(slot, slot + 1), prompt(story("ann")));
    const request = prompt(`${story("ann")} next`);
    const first = workers[chosenBy(policy, workers, request)];
    const rest = workers.filter((worker) => worker !== first);
    const second = rest[chosenBy(policy, rest, request)];
    expect(new Set([first?.slot, second?.slot])).toEqual(new Set([0, 1]));
    expect(chosenBy(policy, workers.slice(2), request)).toBe(0);
    for (const worker of workers.slice(0, 2)) worker.inFlight = 100;
    expect(chosenBy(policy, workers, request)).toBe(2);
  });
});

describe("load", () => {
  test("a worker past its own bound sheds its load, and nobody else loses affinity", () => {
    const policy = create({ balanceAbsThreshold: 4 });
    const workers = fleet(4);
    const home = new Map<string, number>();
    for (const name of ["ann", "bob", "cleo", "dan"]) {
      const index = chosenBy(policy, workers, prompt(story(name)));
      home.set(name, index);
      const worker = workers[index];
      if (worker) worker.inFlight += 1;
    }
    expect(new Set(home.values()).size).toBe(4);
    const hot = workers[home.get("ann") ?? 0];
    if (hot) hot.inFlight = 50;
    expect(chosenBy(policy, workers, prompt(`${story("ann")} next`))).not.toBe(home.get("ann"));
    for (const name of ["bob", "cleo", "dan"]) {
      expect(chosenBy(policy, workers, prompt(`${story(name)} next`))).toBe(home.get(name) ?? -1);
    }
  });

  test("prompts that share one system prompt do not all end at one worker", () => {
    const policy = create({ balanceAbsThreshold: 8 });
    const workers = fleet(8);
    const system = story("You are a helpful assistant.", 4000);
    const running: FakeWorker[] = [];
    let most = 0;
    for (let count = 0; count < 800; count += 1) {
      const worker = workers[chosenBy(policy, workers, prompt(`${system} user ${count} ${story(`q${count}`, 600)}`))];
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
  const first = chosenBy(policy, workers, prompt(story("ann")));
  const gone = workers[first];
  policy.forget?.(gone?.id ?? "", first);
  const successor = fakeWorker(first);
  successor.inFlight = 3;
  const now = workers.map((worker, index) => (index === first ? successor : worker));
  expect(chosenBy(policy, now, prompt(`${story("ann")} next`))).toBe(1 - first);
});

test("a worker is taken for its cache only while its cache can hold the prompt, by its own capacity", () => {
  const policy = create();
  const [small, large] = [fakeWorker(0), fakeWorker(1)].map((worker, index) => ({
    ...worker,
    kvCapacityTokens: [1000, 100_000][index],
  }));
  if (!small || !large) throw new Error("no workers");
  for (const worker of [small, large]) {
    chosenBy(policy, [worker], prompt(story("ann")));
    for (let count = 0; count < 5; count += 1) chosenBy(policy, [worker], prompt(story(`other ${count}`)));
  }
  large.inFlight = 3;
  expect(chosenBy(policy, [small, large], prompt(`${story("ann")} next`))).toBe(1);
});

describe("a fleet of thousands", () => {
  test("each conversation goes home, and its home is found in every new list of workers", () => {
    const policy = create();
    const workers = fleet(5000);
    const homes = Array.from({ length: 300 }, (_, name) => {
      const home = chosenBy(policy, workers, prompt(story(`user ${name}`)));
      const worker = workers[home];
      if (worker) worker.inFlight += 1;
      return worker;
    });
    // Nearly each has a worker of its own: 64 are looked at for one that is idle.
    expect(new Set(homes).size).toBeGreaterThan(290);
    const left = workers.filter((worker, index) => index % 7 !== 0 || homes.includes(worker)).toReversed();
    for (const [name, home] of homes.entries()) {
      expect(left[chosenBy(policy, left, prompt(`${story(`user ${name}`)} next`))]).toBe(home);
    }
  });

  test("of those that have seen the prompt the least loaded is taken, and nobody else is asked for its load", () => {
    const policy = create();
    const workers = fleet(3000);
    const three = [2999, 7, 1500].map((index) => workers[index]).filter((worker) => worker !== undefined);
    for (const worker of three) chosenBy(policy, [worker], prompt(story("shared")));
    for (const [index, worker] of three.entries()) worker.inFlight = [5, 2, 3][index] ?? 0;
    let asked = 0;
    for (const worker of workers) {
      const { inFlight } = worker;
      Object.defineProperty(worker, "inFlight", { get: () => ((asked += 1), inFlight) });
    }
    expect(chosenBy(policy, workers, prompt(story("shared")))).toBe(7);
    expect(asked).toBeLessThan(200);
  });

  test("load beyond the bound is left behind for the next longest match", () => {
    const policy = create();
    const workers = fleet(1200);
    const [long, short] = [workers[1100], workers[3]];
    if (!long || !short) throw new Error("no workers");
    chosenBy(policy, [short], prompt(story("tale", 1500)));
    chosenBy(policy, [long], prompt(`${story("tale", 1500)}${story("goes on", 500)}`));
    const whole = prompt(`${story("tale", 1500)}${story("goes on", 500)} and ends`);
    expect(chosenBy(policy, workers, whole)).toBe(1100);
    long.inFlight = 65;
    expect(chosenBy(policy, workers, whole)).toBe(3);
  });
});

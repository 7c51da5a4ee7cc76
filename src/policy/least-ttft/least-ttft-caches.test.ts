import { expect, test } from "bun:test";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import { leastTtft } from "./least-ttft.ts";
import { LeastTtftPick } from "./least-ttft-pick.ts";

test("a prompt goes where the worker's own events say that it is, and elsewhere when they take that back", () => {
  const fleet = new PolicyFleet({ workers: 4 });
  const policy = fleet.create(leastTtft);
  const prompt = streamOf(text("a document", 8192));
  const { hashes } = prompt.promptBlocks();
  const slots = fleet.candidates.map(({ slot }) => slot);
  for (const slot of slots) policy.cacheNews?.(slot, { kind: "exact", isExact: true });
  for (const slot of slots.toReversed()) {
    policy.cacheNews?.(slot, { kind: "stored", hashes });
    const { slot: chosen, picked } = fleet.send(policy, prompt).end("abandoned");
    expect([chosen, picked.predictedCachedTokens]).toEqual([slot, expect.closeTo(2048, -2)]);
    policy.cacheNews?.(slot, slot % 2 === 0 ? { kind: "removed", hashes } : { kind: "cleared" });
    expect(fleet.send(policy, prompt).end("abandoned").picked.predictedCachedTokens).toBeLessThan(100);
  }
});

test("what one thread hears of a cache all know", () => {
  const fleet = new PolicyFleet({ workers: 3 });
  const [control, serving] = [0, 1].map((thread) => fleet.create(leastTtft, { thread, threads: 2 }));
  const prompt = streamOf(text("a document", 8192));
  const slot = fleet.candidates[1]?.slot ?? 0;
  control?.cacheNews?.(slot, { kind: "stored", hashes: prompt.promptBlocks().hashes });
  expect(serving && fleet.send(serving, prompt).slot).toBe(slot);
});

test("what a worker has for certain need not be settled again, also where a sibling has more of the prompt in flight there", () => {
  const fleet = new PolicyFleet({ workers: 1 });
  const policy = fleet.create(leastTtft);
  const settled = text("a document", 2048);
  const inFlight = settled + text("a question", 2048);
  fleet.send(policy, streamOf(settled)).firstToken().end();
  fleet.send(policy, streamOf(inFlight));
  const { picked } = fleet.send(policy, streamOf(inFlight + text("another", 1024)));
  expect(picked).toBeInstanceOf(LeastTtftPick);
  expect(picked).toMatchObject({ matchedBytes: 4096, safeBytes: 2048 });
});

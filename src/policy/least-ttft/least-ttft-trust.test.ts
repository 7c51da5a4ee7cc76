import { expect, test } from "bun:test";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import type { Candidate, Policy } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";

/** A conversation whose prompt grows by 200 tokens a turn. */
class Conversation {
  #prompt = text("system prompt", 8000);
  #turn = 0;
  readonly #fleet: PolicyFleet;
  readonly #policy: Policy;
  readonly #among: readonly Candidate[];

  /** `only`: the worker that it goes to. */
  constructor(fleet: PolicyFleet, policy: Policy, only = 0) {
    this.#fleet = fleet;
    this.#policy = policy;
    this.#among = fleet.candidates.slice(only, only + 1);
  }

  /** Its next turn, at a worker that finds this share of what it was sent. Returns how many cached tokens were predicted. */
  turn(found: number): number {
    const before = this.#turn === 0 ? 0 : this.#prompt.length;
    this.#turn += 1;
    this.#prompt += text(`turn ${this.#turn}`, 800);
    const sent = this.#fleet.send(this.#policy, streamOf(this.#prompt), this.#among).firstToken();
    sent.end("answered", { promptTokens: this.#prompt.length / 4, cachedTokens: Math.floor((before / 4) * found) });
    return sent.picked.predictedCachedTokens ?? 0;
  }
}

test("a worker that finds little of what it was sent is expected to find that much, until it finds it again", () => {
  const fleet = new PolicyFleet({ workers: 1 });
  const policy = fleet.create(leastTtft);
  const trustAfter = (found: number): number => {
    const conversation = new Conversation(fleet, policy);
    for (let turn = 0; turn < 60; turn += 1) conversation.turn(found);
    return policy.cacheTrust?.(0) ?? Number.NaN;
  };
  expect(trustAfter(1)).toBeGreaterThan(0.98);
  expect(trustAfter(0.3)).toBeWithin(0.28, 0.42);
  const conversation = new Conversation(fleet, policy);
  conversation.turn(0.3);
  expect(conversation.turn(0.3)).toBeWithin(500, 1200);
  expect(trustAfter(1)).toBeGreaterThan(0.9);
});

test("only the worker that finds nothing loses its prefixes' weight, and a restart gives it back", () => {
  const fleet = new PolicyFleet({ workers: 2 });
  const policy = fleet.create(leastTtft);
  for (const [slot, found] of [1, 0].entries()) {
    const conversation = new Conversation(fleet, policy, slot);
    for (let turn = 0; turn < 60; turn += 1) conversation.turn(turn === 1 ? 1 : found);
  }
  const trust = (slot: number): number => policy.cacheTrust?.(slot) ?? Number.NaN;
  expect(trust(0)).toBeGreaterThan(0.98);
  expect(trust(1)).toBeLessThan(0.2);
  policy.forget?.("w1", 1);
  expect(trust(1)).toBe(1);
});

import { describe, expect, test } from "bun:test";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import type { Explanation, Policy, PolicyNews, RequestFeatures } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";

const QUESTION = streamOf(text("question", 4000));

/** Two gateways before one worker each sees; news is kept until it is carried. */
class Gateways {
  readonly fleets = [new PolicyFleet({ workers: 2 }), new PolicyFleet({ workers: 2 })] as const;
  readonly said: PolicyNews[] = [];
  readonly policies: readonly [Policy, Policy];

  constructor() {
    const [one, two] = this.fleets;
    this.policies = [
      one.create(leastTtft, { gateway: "one", tell: (news) => this.said.push(news) }),
      two.create(leastTtft, { gateway: "two" }),
    ];
  }

  /** Carries news to the second gateway. */
  carry(news: readonly (PolicyNews | undefined)[]): void {
    for (const each of news) if (each) this.policies[1].hear?.(each, this.fleets[1].candidates);
  }

  set nowMs(ms: number) {
    for (const fleet of this.fleets) fleet.nowMs = ms;
  }

  /** What the second gateway expects of a worker. */
  expected(slot: number, request: RequestFeatures = QUESTION): Explanation | undefined {
    return this.policies[1].explain?.(this.fleets[1].candidates, request).find(({ index }) => index === slot);
  }
}

describe("news of another gateway", () => {
  test("has its time, the charge and the prompt as they were when it happened", () => {
    const gateways = new Gateways();
    const sent = gateways.fleets[0].send(gateways.policies[0], QUESTION);
    gateways.nowMs = 1300;
    sent.firstToken();
    gateways.nowMs = 2000;
    sent.end();
    const { hashes } = QUESTION.promptBlocks();
    const same = {
      gateway: "one",
      request: 0,
      workerId: `w${sent.slot}`,
      workTokens: 1000,
      contextTokens: 1000,
      hashes,
      bytes: 4000,
    };
    expect(gateways.said).toEqual([
      { kind: "sent", at: 1000, ...same },
      { kind: "first_token", at: 1300, ...same },
      { kind: "ended", at: 2000, ...same },
    ]);
  });

  test("that comes late makes each gateway reckon with what is still under way, at each worker with another share", () => {
    const gateways = new Gateways();
    expect(gateways.expected(0)?.terms["unheard"]).toBe(0);
    for (let request = 0; request < 50; request += 1) {
      gateways.nowMs = 1000 + request * 100;
      const sent = gateways.fleets[0].send(gateways.policies[0], streamOf(text(`other ${request}`, 4000)));
      sent.firstToken();
      sent.end();
      gateways.nowMs = 1100 + request * 100;
      gateways.carry(gateways.said.splice(0));
    }
    const [one, two] = [gateways.expected(0), gateways.expected(1)];
    const shares = [one, two].map((each) => each?.terms["unheard"] ?? 0);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(Math.abs((shares[0] ?? 0) - (shares[1] ?? 0))).toBeGreaterThan(0.001);
    for (const each of [one, two]) {
      expect(Object.values(each?.terms ?? {}).reduce((sum, term) => sum + term, 0)).toBeCloseTo(each?.cost ?? 0, 9);
    }
  });

  test("that is a little late makes idle workers differ, although nobody knows which is faster", () => {
    const gateways = new Gateways();
    const chosen = new Set<number>();
    for (let request = 0; request < 60; request += 1) {
      gateways.nowMs = 1000 + request * 400;
      const other = gateways.fleets[0].send(gateways.policies[0], streamOf(text(`other ${request}`, 4000)));
      gateways.nowMs = 1004 + request * 400;
      gateways.carry(gateways.said.splice(0));
      gateways.nowMs = 1150 + request * 400;
      other.firstToken().end();
      gateways.carry(gateways.said.splice(0));
      const own = gateways.fleets[1].send(gateways.policies[1], streamOf(text(`own ${request}`, 4000)));
      gateways.nowMs = 1290 + request * 400;
      own.firstToken().end();
      if (request >= 30) chosen.add(own.slot);
    }
    expect(chosen.size).toBe(1);
  });

  test("is counted like a request of one's own: pending, decoding, over", () => {
    const gateways = new Gateways();
    const sent = gateways.fleets[0].send(gateways.policies[0], streamOf(text("other", 4000)));
    const { slot } = sent;
    gateways.carry(gateways.said.splice(0));
    expect(gateways.expected(slot)?.terms["waiting"]).toBeCloseTo(0.27, 4);
    expect(gateways.expected(slot)?.terms["decode"]).toBeGreaterThan(0);
    expect(gateways.expected(1 - slot)?.cost).toBeLessThan(gateways.expected(slot)?.cost ?? 0);
    sent.firstToken();
    gateways.carry(gateways.said.splice(0));
    expect(gateways.expected(slot)?.terms["waiting"]).toBe(0);
    expect(gateways.expected(slot)?.terms["held_up_decodes"]).toBeGreaterThan(0);
    sent.end();
    gateways.carry(gateways.said.splice(0));
    expect(gateways.expected(slot)?.terms).toMatchObject({ waiting: 0, decode: 0, held_up_decodes: 0 });
  });

  test("tells where prefixes are, so that siblings follow", () => {
    const gateways = new Gateways();
    const prefix = text("a prefix of both", 4000);
    const sent = gateways.fleets[0].send(gateways.policies[0], streamOf(prefix));
    gateways.nowMs = 1200;
    sent.firstToken();
    gateways.carry(gateways.said);
    const sibling = gateways.fleets[1].send(gateways.policies[1], streamOf(prefix, text("more", 400)));
    expect([sibling.slot, (sibling.picked.predictedCachedTokens ?? 0) > 900]).toEqual([sent.slot, true]);
  });

  test("that is late counts from when it was sent, not from when it came", () => {
    const gateways = new Gateways();
    const { slot } = gateways.fleets[0].send(gateways.policies[0], streamOf(text("other", 4000)));
    gateways.nowMs = 1100;
    gateways.carry(gateways.said);
    // 100 ms of the 135 have passed: three quarters of them are believed.
    expect(gateways.expected(slot)?.terms["waiting"]).toBeCloseTo(2 * (0.135 - 0.075), 4);
  });

  test("of a first token that comes before the news of its request is not undone by that", () => {
    const gateways = new Gateways();
    const request = streamOf(text("other", 4000));
    const sent = gateways.fleets[0].send(gateways.policies[0], request);
    gateways.nowMs = 1200;
    sent.firstToken();
    const [told, first] = gateways.said;
    gateways.carry([first, told]);
    const at = gateways.expected(sent.slot, request);
    expect(at?.terms["waiting"]).toBe(0);
    expect(at?.terms["held_up_decodes"]).toBeGreaterThan(0);
    // It is in the cache, and not in flight.
    expect([at?.inFlightTokens, (at?.cachedTokens ?? 0) > 900]).toEqual([0, true]);
  });

  test("of an end that comes first leaves no load, and no prefix where there was no first token", () => {
    const gateways = new Gateways();
    const request = streamOf(text("other", 4000));
    const sent = gateways.fleets[0].send(gateways.policies[0], request).end("failed");
    const [told, ended] = gateways.said;
    gateways.carry([ended, told]);
    expect(gateways.expected(sent.slot, request)?.terms).toMatchObject({ waiting: 0, decode: 0 });
    expect(gateways.expected(sent.slot, request)?.cachedTokens).toBe(0);
  });

  test("is ahead of itself where a request of one's own that was sent later has its first token", () => {
    const gateways = new Gateways();
    const [fleet, policy] = [gateways.fleets[1], gateways.policies[1]];
    const alone = fleet.candidates.slice(0, 1);
    for (let round = 0; round < 60; round += 1) {
      const [from, bytes] = [10_000 * (round + 1), round % 2 === 0 ? 2000 : 16_000];
      gateways.nowMs = from;
      const other = gateways.fleets[0].send(gateways.policies[0], streamOf(text(`other ${round}`, 8000)), alone);
      const own = fleet.send(policy, streamOf(text(`own ${round}`, bytes)), alone);
      gateways.carry(gateways.said.splice(0));
      // 100 µs a token, for both; the news of the other's first token comes after one's own.
      gateways.nowMs = from + 200;
      other.firstToken();
      gateways.nowMs = from + 200 + bytes / 40;
      own.firstToken();
      expect(gateways.expected(0)?.terms["waiting"]).toBe(0);
      gateways.carry(gateways.said.splice(0));
      gateways.nowMs = from + 5000;
      for (const sent of [other, own]) sent.end();
      gateways.carry(gateways.said.splice(0));
    }
    expect(gateways.expected(0)?.terms["prefill"]).toBeCloseTo(0.1, 2);
    expect(gateways.expected(0)?.terms).toMatchObject({ decode: 0, held_up_decodes: 0 });
  });

  test("that comes twice counts once, and what is over leaves nothing behind", () => {
    const gateways = new Gateways();
    const sent = gateways.fleets[0].send(gateways.policies[0], QUESTION).firstToken().end();
    const [told, first, ended] = gateways.said;
    gateways.carry([told, told, first, first, ended]);
    expect(gateways.expected(sent.slot)?.terms).toMatchObject({ waiting: 0, decode: 0, held_up_decodes: 0 });
  });

  test("teaches no rates, however slow the other gateway's requests look", () => {
    const gateways = new Gateways();
    for (let number = 0; number < 50; number += 1) {
      const request = streamOf(text(`other ${number}`, 4000));
      const sent = gateways.fleets[0].send(gateways.policies[0], request);
      gateways.nowMs = 2000 + number * 1000;
      sent.firstToken().end();
    }
    gateways.carry(gateways.said);
    expect(gateways.expected(0)?.terms["prefill"]).toBeCloseTo(0.125, 6);
  });

  test("of a worker that is not known, or was forgotten meanwhile, changes nothing", () => {
    const gateways = new Gateways();
    const sent = gateways.fleets[0].send(gateways.policies[0], QUESTION);
    const [told] = gateways.said;
    gateways.carry([told && { ...told, workerId: "somebody" }]);
    expect(gateways.expected(sent.slot)?.terms["waiting"]).toBe(0);
    gateways.carry([told]);
    gateways.policies[1].forget?.(`w${sent.slot}`, sent.slot);
    expect(gateways.expected(sent.slot)?.terms).toMatchObject({ waiting: 0, decode: 0 });
    gateways.nowMs = 1300;
    sent.firstToken().end();
    gateways.carry(gateways.said.slice(1));
    expect(gateways.expected(sent.slot)?.terms).toMatchObject({ waiting: 0, decode: 0 });
  });

  test("of a gateway that fell silent is dropped after ten minutes", () => {
    const gateways = new Gateways();
    const { slot } = gateways.fleets[0].send(gateways.policies[0], QUESTION);
    gateways.carry(gateways.said.splice(0));
    gateways.nowMs = 602_000;
    const later = gateways.fleets[0].send(gateways.policies[0], streamOf(text("other", 4000)));
    gateways.carry(gateways.said.splice(0));
    later.end("failed");
    gateways.carry(gateways.said.splice(0));
    expect(gateways.expected(slot)?.terms).toMatchObject({ waiting: 0, decode: 0 });
  });

  test("of a request without a stream says when it is prefilled", () => {
    const gateways = new Gateways();
    const whole = { ...streamOf(text("other", 4000)), isStream: false };
    const sent = gateways.fleets[0].send(gateways.policies[0], whole);
    gateways.nowMs = 3000;
    gateways.fleets[0].send(gateways.policies[0], streamOf(text("next", 200)));
    expect(gateways.said.map(({ kind, request, at }) => [kind, request, Math.round(at)])).toEqual([
      ["sent", 0, 1000],
      ["sent", 1, 3000],
      ["first_token", 0, 1135],
    ]);
    sent.end();
    expect(gateways.said.at(-1)).toMatchObject({ kind: "ended", request: 0 });
  });
});

import { beforeEach, describe, expect, test } from "bun:test";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import type { PairCandidates, PickedPair, Policy, RequestFeatures } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";
import { roundRobin } from "../round-robin.ts";

/** Prefill and decode workers with an instance of the policy each. */
class Pairs {
  readonly prefillFleet: PolicyFleet;
  readonly decodeFleet: PolicyFleet;
  readonly prefill: Policy;
  readonly decode: Policy;
  mayBeAlone = true;
  fits: PairCandidates["fits"] = () => true;

  constructor(prefillers: number, decoders: number) {
    this.prefillFleet = new PolicyFleet({ workers: prefillers, role: "prefill" });
    this.decodeFleet = new PolicyFleet({ workers: decoders, role: "decode" });
    this.prefill = this.prefillFleet.create(leastTtft);
    this.decode = this.decodeFleet.create(leastTtft);
  }

  advance(ms: number): void {
    this.prefillFleet.nowMs += ms;
    this.decodeFleet.nowMs += ms;
  }

  candidates(): PairCandidates {
    return {
      prefillers: this.prefillFleet.candidates,
      decoders: this.decodeFleet.candidates,
      decodePolicy: this.decode,
      fits: (prefill, decode) => this.fits(prefill, decode),
      prefillsAlone: () => this.mayBeAlone,
    };
  }

  choose(request: RequestFeatures): PickedPair | undefined {
    return this.prefill.pickPair?.(this.candidates(), request);
  }

  /** Chooses and sends. */
  send(request: RequestFeatures): Sent {
    const pair = this.choose(request);
    if (!pair) throw new Error("nobody was chosen");
    const { prefill, decode } = pair;
    const sent = {
      prefill: prefill && this.prefillFleet.sent(this.prefillFleet.candidates, prefill, request),
      decode: this.decodeFleet.sent(this.decodeFleet.candidates, decode, request),
    };
    return { ...sent, pair };
  }
}

type SentRequest = ReturnType<PolicyFleet["sent"]>;

interface Sent {
  readonly prefill: SentRequest | undefined;
  readonly decode: SentRequest;
  readonly pair: PickedPair;
}

const LONG = streamOf(text("a long prompt", 80_000));
let pairs: Pairs;
beforeEach(() => {
  pairs = new Pairs(2, 2);
});

describe("a prompt", () => {
  test("that is short is prefilled by the decode worker itself where nothing decodes there", () => {
    const { pair } = pairs.send(streamOf(text("short", 400)));
    expect([pair.prefill, pair.decode.reason]).toEqual([undefined, "prefills_alone"]);
    expect(pair.decode.chargeTokens).toBeGreaterThan(50);
  });

  test("that would hold up many decodes goes to a prefill worker", () => {
    pairs.mayBeAlone = false;
    for (let number = 0; number < 24; number += 1) {
      const { prefill, decode } = pairs.send(streamOf(text(`${number}`, 4000)));
      prefill?.firstToken().end();
      decode.firstToken();
      pairs.advance(1000);
    }
    pairs.mayBeAlone = true;
    const { pair } = pairs.send(LONG);
    expect(pair.prefill).toBeDefined();
    expect([pair.decode.chargeTokens, pair.decode.reason === "prefills_alone"]).toEqual([0, false]);
  });

  test("goes to a decode worker alone while the prefill workers have long queues", () => {
    pairs.mayBeAlone = false;
    for (let number = 0; number < 8; number += 1) pairs.send(streamOf(text(`${number}`, 80_000)));
    pairs.mayBeAlone = true;
    expect(pairs.send(LONG).pair.prefill).toBeUndefined();
  });

  test("is never prefilled at a decode worker that cannot do so", () => {
    pairs.mayBeAlone = false;
    expect(pairs.send(streamOf(text("short", 400))).pair.prefill).toBeDefined();
  });
});

test("the decode worker that has the prompt's beginning is preferred, as less is handed over", () => {
  pairs.mayBeAlone = false;
  const first = pairs.send(LONG);
  first.prefill?.firstToken().end();
  first.decode.firstToken().end();
  const again = pairs.send(LONG);
  expect([again.prefill?.slot, again.decode.slot]).toEqual([first.prefill?.slot, first.decode.slot]);
});

test("the cheapest prefill worker is left out for a decode worker that it does not fit", () => {
  pairs.mayBeAlone = false;
  pairs.fits = (prefill, decode) => prefill === 1 && decode === 0;
  const { prefill, decode } = pairs.send(LONG);
  expect([prefill?.picked.index, decode.picked.index]).toEqual([1, 0]);
});

test("nobody is chosen where no two fit and nobody prefills alone, and a decode worker where nobody is left to prefill", () => {
  pairs.mayBeAlone = false;
  pairs.fits = () => false;
  expect(pairs.choose(LONG)).toBeUndefined();
  pairs.mayBeAlone = true;
  expect(pairs.choose(LONG)?.prefill).toBeUndefined();
  const candidates: PairCandidates = { ...pairs.candidates(), prefillers: [], prefillsAlone: () => true };
  expect(pairs.prefill.pickPair?.(candidates, LONG)?.prefill).toBeUndefined();
});

test("the choice is left to both policies where the decode workers have another one, or the same instance", () => {
  const other = pairs.decodeFleet.create(roundRobin);
  for (const decodePolicy of [other, pairs.prefill]) {
    expect(pairs.prefill.pickPair?.({ ...pairs.candidates(), decodePolicy }, LONG)).toBeUndefined();
  }
});

test("decode workers that have prefilled nothing yet are as fast as the prefill workers were seen to be", () => {
  pairs.mayBeAlone = false;
  const expectedMs = (): number => {
    pairs.mayBeAlone = true;
    const { decoders } = pairs.candidates();
    const explained = pairs.prefill.explainPair?.({ ...pairs.candidates(), prefillers: [] }, LONG);
    pairs.mayBeAlone = false;
    return explained?.decode.find(({ index }) => decoders[index] !== undefined)?.predictedTtftMs ?? 0;
  };
  const before = expectedMs();
  for (let number = 0; number < 30; number += 1) {
    const { prefill, decode } = pairs.send(streamOf(text(`${number}`, 20_000)));
    // 5,000 tokens at 2,500 a second.
    pairs.advance(2000);
    prefill?.firstToken().end();
    decode.firstToken().end();
    pairs.advance(100);
  }
  expect(expectedMs() / before).toBeCloseTo(8000 / 2500, 0);
});

test("what a hand-over takes is learned, and long ones make the prefill at the decode worker cheaper", () => {
  pairs.mayBeAlone = false;
  const handOver = (): number =>
    pairs.prefill.explainPair?.(pairs.candidates(), LONG)?.decode[0]?.terms["hand_over"] ?? 0;
  const before = handOver();
  for (let number = 0; number < 40; number += 1) {
    const { prefill, decode } = pairs.send(streamOf(text(`${number}`, 40_000)));
    pairs.advance(500);
    prefill?.firstToken().end();
    // 10,000 tokens.
    pairs.advance(1000);
    decode.firstToken().end();
  }
  expect(handOver()).toBeGreaterThan(3 * before);
});

test("an explanation has for each decode worker its cheaper way, and the choice is the cheapest of all", () => {
  for (const mayBeAlone of [true, false]) {
    pairs.mayBeAlone = mayBeAlone;
    for (let number = 0; number < 3; number += 1) {
      const request = streamOf(text(`${number}`, 3000 * (number + 1)));
      const explained = pairs.prefill.explainPair?.(pairs.candidates(), request);
      const { pair } = pairs.send(request);
      const chosen = explained?.decode.find(({ index }) => index === pair.decode.index);
      expect(chosen?.cost).toBeCloseTo(Math.min(...(explained?.decode ?? []).map(({ cost }) => cost)), 3);
      for (const { cost, terms } of explained?.decode ?? []) {
        expect(Object.values(terms).reduce((sum, term) => sum + term, 0)).toBeCloseTo(cost, 9);
      }
      expect("hand_over" in (chosen?.terms ?? {})).toBe(pair.prefill !== undefined);
    }
  }
});

test("a choice over pairs is made of the numbers that were explained, although time goes on meanwhile", () => {
  for (const mayBeAlone of [true, false]) {
    pairs.mayBeAlone = mayBeAlone;
    pairs.send(streamOf(text("before", 40_000)));
    const request = streamOf(text(`asked ${mayBeAlone}`, 3000));
    const candidates = pairs.candidates();
    const explained = pairs.prefill.explainPair?.(candidates, request);
    pairs.advance(50);
    const pair = pairs.prefill.pickPair?.(candidates, request);
    const chosen = explained?.decode.find(({ index }) => index === pair?.decode.index);
    expect(pair?.prefill === undefined).toBe(mayBeAlone);
    expect(pair?.decode.predictedTtftMs).toBeCloseTo(chosen?.predictedTtftMs ?? 0, 6);
  }
});

test("the decode worker's first token is expected after the prefill and the hand-over", () => {
  pairs.mayBeAlone = false;
  const { pair } = pairs.send(LONG);
  // 20,000 tokens: 2.51 s, 3 ms, and 10 µs each.
  expect(pair.prefill?.predictedTtftMs).toBeCloseTo(2510, -1);
  expect((pair.decode.predictedTtftMs ?? 0) - (pair.prefill?.predictedTtftMs ?? 0)).toBeCloseTo(203, 0);
});

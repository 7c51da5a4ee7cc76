import { z } from "zod";
import { SLOTS } from "../../util/slots.ts";
import { definePolicy } from "../define-policy.ts";
import { tellIndex } from "../index-news.ts";
import { INDEX_SIZE } from "../index-size.ts";
import {
  type CacheNews,
  type Candidate,
  type Explanation,
  NOBODY,
  type PairCandidates,
  type PairExplanations,
  type PickEnd,
  type Picked,
  type PickedPair,
  type Policy,
  type PolicyNews,
  type PolicyParts,
  type RequestFeatures,
} from "../policy.ts";
import { explained } from "./explained.ts";
import { createKnowledge, type Knowledge } from "./knowledge.ts";
import { LeastTtftPick, type PickOwner, showsOf } from "./least-ttft-pick.ts";
import { PairChoice, type PairSide, type TakenAs } from "./pair-choice.ts";
import { WHOLE_SENT, workerAt } from "./shared-layout.ts";
import { COST, INDEX, PREFILL_S, SLOT, type Weighed } from "./weighed.ts";

const OPTIONS = z.strictObject({ maxTreeSize: INDEX_SIZE });

/**
 * Sends each request where its first token is expected soonest, with what it costs the requests around it. For each worker it knows the
 * work that pends there, the prefixes that it has cached or is prefilling, how fast it prefills, how much decodes there, and
 * how full its KV cache is: all from the gateway's own requests. `cost.ts` has the formula.
 */
export const leastTtft = definePolicy({
  name: "least_ttft",
  chooses: "the worker from which the first token is expected soonest, by its queue, cache and speed",
  goodFor: "everything; workers of any speed, long prompts, shared prefixes",
  nearestTo: { kv_aware: "knows which worker has seen which prompt, and what each has to do before it" },
  signals: {
    prompt: "counts all tokens of each request as new",
    first_token: "reckons with the time of whole answers, which says less",
    kv_capacity: "takes the cache for large, and does not keep away from workers whose cache is full",
    cached_tokens: "cannot check what it expects to be cached",
  },
  options: OPTIONS,
  create: ({ maxTreeSize }, parts) => new LeastTtft(maxTreeSize, parts),
});

/**
 * The request whose candidates were weighed for an explanation, until it is sent or something else is weighed. Its choice is made of these
 * numbers: weighed once more they would be others, as other threads send requests meanwhile.
 */
interface Shown {
  readonly request: RequestFeatures;
  readonly candidates: readonly Candidate[];
  /** For a choice over pairs, whose costs are others. */
  readonly isPair: boolean;
}

class LeastTtft implements Policy, PickOwner, PairSide {
  readonly name = "least_ttft";
  readonly costUnit = "s";
  /** For a choice over pairs; others leave it alone. */
  readonly known: Knowledge;
  readonly #pairs = new PairChoice();
  readonly #tell: PolicyParts["tell"];
  readonly #gateway: string;
  /** By slot: how often the worker was forgotten. Requests from before say nothing about it. */
  readonly #eras = new Int32Array(SLOTS);
  #requests = 0;
  #shown: Shown | undefined;

  constructor(indexBytes: number, parts: PolicyParts) {
    this.known = createKnowledge(indexBytes, parts);
    this.#tell = parts.tell;
    this.#gateway = parts.gateway ?? "";
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): number | Picked {
    const isShown = this.isShown(candidates, request, false);
    const weighed = isShown ? this.known.weigher.weighed : this.weigh(candidates, request);
    if (weighed.count === 0) return NOBODY;
    return this.take(candidates, request, this.known.chooser.send(weighed));
  }

  costs(candidates: readonly Candidate[], request: RequestFeatures): readonly number[] {
    const weighed = this.weigh(candidates, request, true);
    const costs = candidates.map(() => Number.NaN);
    for (let at = 0; at < weighed.count; at += 1) costs[weighed.of(at, INDEX)] = weighed.of(at, COST);
    return costs;
  }

  explain(candidates: readonly Candidate[], request: RequestFeatures): readonly Explanation[] {
    const explanations = explained(this.weigh(candidates, request, true));
    this.#shown = { request, candidates, isPair: false };
    return explanations;
  }

  pairsWith(decodePolicy: Policy): boolean {
    return decodePolicy instanceof LeastTtft && decodePolicy !== this;
  }

  pickPair(candidates: PairCandidates, request: RequestFeatures): PickedPair | undefined {
    const decode = this.#decodeSideOf(candidates);
    return decode && this.#pairs.pick({ prefill: this, decode, candidates, request });
  }

  explainPair(candidates: PairCandidates, request: RequestFeatures): PairExplanations | undefined {
    const decode = this.#decodeSideOf(candidates);
    return decode && this.#pairs.explain({ prefill: this, decode, candidates, request });
  }

  /** The instance of the decode workers; undefined where they have another policy, which only chooses by itself. */
  #decodeSideOf({ decodePolicy }: PairCandidates): LeastTtft | undefined {
    return decodePolicy instanceof LeastTtft && decodePolicy !== this ? decodePolicy : undefined;
  }

  hear(news: PolicyNews, candidates: readonly Candidate[]): void {
    const candidate = candidates.find(({ id }) => id === news.workerId);
    if (!candidate) return;
    const { news: others, time, unheard, weigher } = this.known;
    const now = time.now();
    others.hear(news, candidate.slot, now);
    if (news.kind === "sent") weigher.arrivals.heard(candidate.slot, now);
    unheard.know(candidates);
  }

  /** Blocks only: what is known of the worker's speed, and of its requests, does not depend on its cache. */
  cacheNews(slot: number, news: CacheNews): void {
    tellIndex(this.known.index, slot, news);
  }

  cacheTrust(slot: number): number {
    return this.known.index.trust(slot);
  }

  forget(_workerId: string, slot: number): void {
    const { index, bounds, rates, pending, news } = this.known;
    this.#eras[slot] = (this.#eras[slot] ?? 0) + 1;
    index.forget(slot);
    bounds.forget(slot);
    rates.forget(slot);
    pending.forget(slot);
    news.forget(slot);
  }

  /** Called by a choice whose request has its first token, `ms` after it was made. */
  onFirstToken(pick: LeastTtftPick, ms: number): void {
    if (!this.#isCurrent(pick)) return;
    const { pending, learning, handover, pulse } = this.known;
    const now = pick.sentAt + ms / 1000;
    if (pick.handover && pick.shows === "no_prefill") handover.firstToken(pick.handover, ms, now);
    else if (pick.handover) pick.handover.beganAfterMs = ms;
    pulse.began(pick.slot, now);
    if (pick.shows === "first_token") {
      pending.endStream(pick.slot, pick);
      learning.firstToken(pick, now);
    }
    this.#settle(pick, now);
  }

  /** Called by a choice whose stream had another piece, `ms` after it was made. */
  onPiece(pick: LeastTtftPick, ms: number): void {
    if (this.#isCurrent(pick)) this.known.pulse.heard(pick.slot, pick.sentAt + ms / 1000);
  }

  /** Called by a choice whose request is over. */
  onEnd(pick: LeastTtftPick, end: PickEnd): void {
    const { index, pending, learning } = this.known;
    const { slot, shows } = pick;
    const now = pick.sentAt + end.ms / 1000;
    if (!this.#isCurrent(pick)) return this.#say("ended", pick, now);
    if (shows === "first_token" && !pick.hasFirstToken) pending.endStream(slot, pick);
    if (shows === "whole") pending.endWhole(slot, pick);
    if (end.outcome === "answered") {
      this.#settle(pick, now);
      learning.answered(pick, end, now - pick.sentAt);
    } else if (!pick.isSettled) index.withdraw(pick.prompt, slot);
    this.#say("ended", pick, now);
  }

  /**
   * Weighs the candidates that are compared for a request. `isShown`: the next call compares the same ones. `isAlone`: decode workers
   * prefill the prompt themselves.
   */
  weigh(candidates: readonly Candidate[], request: RequestFeatures, isShown = false, isAlone = false): Weighed {
    const { time, index, compared, weigher, rates, news, unheard } = this.known;
    const { weighed } = weigher;
    const now = time.now();
    this.#shown = undefined;
    const prompt = request.promptBlocks();
    index.match(prompt);
    const count = compared.choose(candidates, isShown);
    if (count < candidates.length) weigher.touch(candidates, compared, count);
    for (let number = 0; number < count; number += 1) rates.settle(candidates[compared.at(number)]?.slot ?? 0, now);
    weigher.begin(request, prompt, now);
    for (let number = 0; number < count; number += 1) {
      const place = compared.at(number);
      const candidate = candidates[place];
      if (candidate) weigher.add(candidate, place, isAlone);
    }
    if (!news.isSilent) unheard.addTo(weighed);
    weighed.now = now;
    return weighed;
  }

  isShown(candidates: readonly Candidate[], request: RequestFeatures, isPair = true): boolean {
    const shown = this.#shown;
    return shown?.request === request && shown.candidates === candidates && shown.isPair === isPair;
  }

  show(candidates: readonly Candidate[], request: RequestFeatures): void {
    this.#shown = { request, candidates, isPair: true };
  }

  /** Takes the candidate at a place of those that were just weighed. `ahead`: a prefill worker has the prompt first. */
  take(
    candidates: readonly Candidate[],
    request: RequestFeatures,
    at: number,
    { isAlone = false, ahead }: TakenAs = {},
  ): LeastTtftPick {
    const { index, weigher, chooser, compared } = this.known;
    const { weighed } = weigher;
    const candidate = candidates[weighed.of(at, INDEX)];
    const pick = new LeastTtftPick(this, weighed, at, {
      reason: isAlone ? "prefills_alone" : chooser.reason,
      workerId: candidate?.id ?? "",
      era: this.#eras[weighed.of(at, SLOT)] ?? 0,
      number: this.#requests,
      prompt: weighed.prompt,
      shows: showsOf(candidate, request, isAlone),
      isTokenized: request.isTokenized,
      ahead,
    });
    this.#requests += 1;
    if (this.#shown) compared.taken();
    this.#shown = undefined;
    chooser.note(pick.slot);
    weigher.arrivals.note(weighed, at);
    pick.safeBytes = index.safeBytesOf(pick.slot);
    index.insert(pick.slot);
    pick.note = index.note;
    this.#queue(pick, weighed.of(at, PREFILL_S));
    this.#say("sent", pick, pick.sentAt);
    this.#settlePrefilled(weighed);
    return pick;
  }

  #queue(pick: LeastTtftPick, prefillS: number): void {
    const { pending, cells } = this.known;
    const { slot, shows } = pick;
    pick.wholeSent = cells[workerAt(slot) + WHOLE_SENT] ?? 0;
    if (shows === "first_token") pending.sendStream(slot, pick);
    else if (shows === "whole") pending.sendWhole(slot, pick, pick.sentAt + pick.waitingS + pick.overheadS, prefillS);
  }

  /** Settles requests without streams that are prefilled by now. */
  #settlePrefilled(weighed: Weighed): void {
    const { pending } = this.known;
    const { count, now } = weighed;
    for (let at = 0; at < count; at += 1) {
      const worker = weighed.of(at, SLOT);
      for (let pick = pending.takePrefilled(worker, now); pick; pick = pending.takePrefilled(worker, now)) {
        this.#settle(pick, pick.doneAt);
      }
    }
  }

  /** The worker has prefilled the prompt, at this time. */
  #settle(pick: LeastTtftPick, at: number): void {
    if (pick.isSettled) return;
    pick.isSettled = true;
    this.known.index.settle(pick.prompt, pick.slot, pick.safeBytes, pick.note);
    this.#say("first_token", pick, at);
  }

  #isCurrent({ slot, era }: LeastTtftPick): boolean {
    return this.#eras[slot] === era;
  }

  #say(kind: PolicyNews["kind"], pick: LeastTtftPick, at: number): void {
    this.#tell?.({
      kind,
      gateway: this.#gateway,
      request: pick.number,
      workerId: pick.workerId,
      at: at * 1000,
      workTokens: pick.chargeTokens,
      contextTokens: pick.contextTokens,
      hashes: pick.prompt.hashes,
      bytes: pick.prompt.bytes,
    });
  }
}

import { GatewayError } from "../errors/errors.ts";
import { explainedCosts } from "./explained-costs.ts";
import type { KeptPolicy } from "./kept-policy.ts";
import type { Candidate, Explanation, PickEnd, Picked, Policy, PolicyNews, RequestFeatures } from "./policy.ts";

/**
 * How a shadow's choice compares with the real one: the `same` worker, an `other` one, `none` at all, or the shadow `failed`.
 */
export type ShadowOutcome = "same" | "other" | "none" | "failed";

/** One choice of the shadow beside the real one. */
export interface ShadowChoice {
  readonly outcome: ShadowOutcome;
  /** Expected cost of the real choice and of the shadow's, s; undefined where the judge has none. */
  readonly realCostS: number | undefined;
  readonly shadowCostS: number | undefined;
}

/** Parts of a policy with a shadow. */
export interface ShadowedParts {
  /** Chooses the workers that requests go to. */
  readonly real: KeptPolicy;
  /** Chooses as well, and no request goes where it says. */
  readonly shadow: Policy;
  /** Says what both choices cost, in seconds. It follows the real choices like the shadow. */
  readonly judge: Policy;
  readonly onChoice: (choice: ShadowChoice) => void;
  /** Gets an error that the shadow or the judge threw. */
  readonly onFault: (policy: string, error: unknown) => void;
}

/**
 * A policy that chooses, with a second one that is asked what it would have chosen. After each choice the shadow is told where the request
 * really went: it is asked once more with that worker as the only candidate, and hears the hooks of that request. So each choice of it is
 * compared in the state that the real policy has brought about. Errors of the shadow never reach the request.
 */
export class ShadowedPolicy implements KeptPolicy {
  readonly name: string;
  readonly costUnit: "s" | undefined;
  readonly sessions: KeptPolicy["sessions"];
  readonly keepsSessions: Policy["keepsSessions"];
  affinity: KeptPolicy["affinity"];
  signals: KeptPolicy["signals"];
  readonly cacheNews: Policy["cacheNews"];
  readonly #parts: ShadowedParts;

  constructor(parts: ShadowedParts) {
    const { real, shadow, judge } = parts;
    this.#parts = parts;
    this.name = real.name;
    this.costUnit = real.costUnit;
    this.sessions = real.sessions;
    this.keepsSessions = real.keepsSessions;
    if (real.cacheNews || shadow.cacheNews || judge.cacheNews) {
      this.cacheNews = (slot, news) => {
        real.cacheNews?.(slot, news);
        this.#tellOthers((policy) => policy.cacheNews?.(slot, news));
      };
    }
  }

  get lastReason(): Policy["lastReason"] {
    return this.#parts.real.lastReason;
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): number | Picked {
    const picked = this.#parts.real.pick(candidates, request);
    const index = indexOf(picked);
    const candidate = candidates[index];
    if (!candidate) return picked;
    const followers = this.#compare(candidates, request, index);
    return followers.length === 0 ? picked : new ShadowedPick(picked, followers, this.#parts.onFault);
  }

  homeOf(request: RequestFeatures): number {
    return this.#parts.real.homeOf?.(request) ?? -1;
  }

  explain(candidates: readonly Candidate[], request: RequestFeatures): readonly Explanation[] {
    const { real } = this.#parts;
    return real.explain?.(candidates, request) ?? explainedCosts(real.costs?.(candidates, request) ?? []);
  }

  hear(news: PolicyNews, candidates: readonly Candidate[]): void {
    this.#parts.real.hear?.(news, candidates);
    this.#tellOthers((policy) => policy.hear?.(news, candidates));
  }

  cacheTrust(slot: number): number | undefined {
    return this.#parts.real.cacheTrust?.(slot);
  }

  forget(workerId: string, slot: number): void {
    this.#parts.real.forget?.(workerId, slot);
    this.#tellOthers((policy) => policy.forget?.(workerId, slot));
  }

  /** Tells the shadow and the judge what the real policy has been told. */
  #tellOthers(tell: (policy: Policy) => void): void {
    const { shadow, judge } = this.#parts;
    this.#guarded(shadow, () => tell(shadow));
    this.#guarded(judge, () => tell(judge));
  }

  /** Asks the shadow, compares, and makes shadow and judge follow the real choice. Returns their hooks. */
  #compare(candidates: readonly Candidate[], request: RequestFeatures, real: number): Follower[] {
    const { shadow, judge } = this.#parts;
    const followers: Follower[] = [];
    // A single candidate is no choice, but shadow and judge are told of the request.
    if (candidates.length > 1) this.#tell(candidates, request, real);
    for (const policy of [shadow, judge]) {
      this.#guarded(policy, () => {
        const placed = policy.pick(candidates.slice(real, real + 1), request);
        if (typeof placed !== "number") followers.push({ policy: policy.name, pick: placed });
      });
    }
    return followers;
  }

  #tell(candidates: readonly Candidate[], request: RequestFeatures, real: number): void {
    const { shadow, onChoice } = this.#parts;
    const wanted = this.#guarded(shadow, () => {
      const picked = shadow.pick(candidates, request);
      // The request is not sent there.
      if (typeof picked !== "number") picked.onEnd?.({ outcome: "unsent", ms: 0, usage: undefined });
      return indexOf(picked);
    });
    if (wanted === undefined || candidates[wanted] === undefined) {
      const outcome = wanted === undefined ? "failed" : "none";
      onChoice({ outcome, realCostS: undefined, shadowCostS: undefined });
      return;
    }
    const realCostS = this.#costOf(candidates, request, real);
    const shadowCostS = wanted === real ? realCostS : this.#costOf(candidates, request, wanted);
    onChoice({ outcome: wanted === real ? "same" : "other", realCostS, shadowCostS });
  }

  #costOf(candidates: readonly Candidate[], request: RequestFeatures, index: number): number | undefined {
    const { judge } = this.#parts;
    const cost = this.#guarded(judge, () => judge.costs?.(candidates.slice(index, index + 1), request)[0]);
    return cost === undefined || Number.isNaN(cost) ? undefined : cost;
  }

  #guarded<T>(policy: Policy, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      // An operator's module has said already what is wrong with it.
      if (!(error instanceof GatewayError && error.code === "policy_failed")) this.#parts.onFault(policy.name, error);
      return undefined;
    }
  }
}

/** The choice of a policy that follows the real one. */
interface Follower {
  readonly policy: string;
  readonly pick: Picked;
}

/** The real choice, whose hooks the shadow and the judge hear after it. */
class ShadowedPick implements Picked {
  readonly index: number;
  readonly chargeTokens: number | undefined;
  readonly contextTokens: number | undefined;
  readonly predictedTtftMs: number | undefined;
  readonly predictedCachedTokens: number | undefined;
  readonly reason: Picked["reason"];
  readonly #real: Picked | undefined;
  readonly #followers: readonly Follower[];
  readonly #onFault: ShadowedParts["onFault"];

  constructor(real: number | Picked, followers: readonly Follower[], onFault: ShadowedParts["onFault"]) {
    this.#real = typeof real === "number" ? undefined : real;
    this.index = indexOf(real);
    this.chargeTokens = this.#real?.chargeTokens;
    this.contextTokens = this.#real?.contextTokens;
    this.predictedTtftMs = this.#real?.predictedTtftMs;
    this.predictedCachedTokens = this.#real?.predictedCachedTokens;
    this.reason = this.#real?.reason;
    this.#followers = followers;
    this.#onFault = onFault;
  }

  onPiece(ms: number): void {
    this.#real?.onPiece?.(ms);
    this.#tellFollowers((pick) => pick.onPiece?.(ms));
  }

  onFirstToken(ms: number): void {
    this.#real?.onFirstToken?.(ms);
    this.#tellFollowers((pick) => pick.onFirstToken?.(ms));
  }

  onEnd(end: PickEnd): void {
    this.#real?.onEnd?.(end);
    this.#tellFollowers((pick) => pick.onEnd?.(end));
  }

  #tellFollowers(tell: (pick: Picked) => void): void {
    for (const { policy, pick } of this.#followers) {
      try {
        tell(pick);
      } catch (error) {
        this.#onFault(policy, error);
      }
    }
  }
}

function indexOf(picked: number | Picked): number {
  return typeof picked === "number" ? picked : picked.index;
}

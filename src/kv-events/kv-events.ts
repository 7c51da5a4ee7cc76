import { errorMessage } from "../util/error-message.ts";
import type { Logger } from "../observability/logger.ts";
import type { CacheNews } from "../policy/policy.ts";
import { lazy } from "../util/lazy.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { Worker } from "../worker/worker.ts";
import { isSameSource, type KvEventsSpec } from "../worker/worker-spec.ts";
import type * as FollowingModule from "./following.ts";
import type { WorkerFeed, WorkerFeedView } from "./worker-feed.ts";

const load = lazy((): typeof FollowingModule => require("./following.ts"));

/** The policies of the models, as far as they take news of caches. */
interface NewsPolicies {
  /** Whether the policy of this model and role takes news. */
  takesCacheNews(model: string, role: WorkerType): boolean;
  /** `model` undefined: the policy of requests without a model. */
  cacheNews(model: string | undefined, role: WorkerType, slot: number, news: CacheNews): void;
}

/** A change of a worker that the policies have followed. */
type OnFollowed = (
  listener: (change: { readonly before: Worker | undefined; readonly after: Worker | undefined }) => void,
) => () => void;

export interface KvEventsDeps extends Omit<FollowingModule.FollowingDeps, "onPause"> {
  /** Called after the policies have followed a change of a worker. */
  readonly onFollowed: OnFollowed;
  readonly workers: { all(): readonly Worker[]; get(id: string): Worker | undefined };
  readonly policies: NewsPolicies;
  readonly logger: Logger;
  /** Where workers without a setting of their own publish; undefined: nowhere. */
  readonly defaults: KvEventsSpec | undefined;
}

/** A worker that is not reached within this time is named in the log, ms. */
const TELL_UNREACHED_MS = 10_000;

interface Followed {
  readonly spec: KvEventsSpec;
  /** How many of its engine's ranks are workers: the endpoints depend on it. */
  readonly ranks: number | undefined;
  readonly feed: WorkerFeed;
  readonly cancelTell: () => void;
}

/**
 * Follows the KV events of the workers, and tells the policies of their models what each worker's cache holds. Runs on the control
 * thread; the policies share what they learn with all threads.
 *
 * A worker is followed from when it is first ready until it leaves, if it says where it publishes and a policy of its models takes the news.
 */
export class KvEvents implements Disposable {
  readonly #deps: KvEventsDeps;
  readonly #followed = new Map<string, Followed>();
  /** Workers whose events cannot be followed, with the reason. */
  readonly #refused = new Map<string, string>();
  readonly #stopListening: () => void;
  /** Undefined until a worker is followed. */
  #following: FollowingModule.Following | undefined;

  constructor(deps: KvEventsDeps) {
    this.#deps = deps;
    this.#stopListening = deps.onFollowed(({ before, after }) => this.#onChange(before, after));
    for (const worker of deps.workers.all()) this.#onChange(undefined, worker);
  }

  /** What operators see of a worker's events; undefined for a worker that is not followed. */
  view(id: string): WorkerFeedView | { readonly state: "refused"; readonly reason: string } | undefined {
    const reason = this.#refused.get(id);
    return reason === undefined ? this.#followed.get(id)?.feed.view : { state: "refused", reason };
  }

  /** The state of each worker that is followed, by the worker's id. */
  *views(): Generator<[id: string, view: WorkerFeedView], void, void> {
    for (const [id, { feed }] of this.#followed) yield [id, feed.view];
  }

  /** Models may have new policies, which know nothing yet: they get all that is known. Workers that one wants now are followed. */
  tellAgain(): void {
    for (const worker of this.#deps.workers.all()) {
      const isKnown = this.#followed.has(worker.id);
      this.#onChange(worker, worker);
      if (isKnown) this.#followed.get(worker.id)?.feed.tellAll();
    }
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    for (const id of [...this.#followed.keys()]) this.#unfollow(id);
    this.#following?.[Symbol.dispose]();
  }

  #open(): FollowingModule.Following {
    return new (load().Following)({
      ...this.#deps,
      onPause: (isPaused) => {
        for (const { feed } of this.#followed.values()) feed.setPaused(isPaused);
      },
    });
  }

  #onChange(before: Worker | undefined, after: Worker | undefined): void {
    const id = (after ?? before)?.id ?? "";
    const known = this.#followed.get(id);
    const spec = after && this.#wanted(after);
    if (!after || !spec || (known && (!isSameSource(known.spec, spec) || known.ranks !== after.rank?.of))) {
      this.#refused.delete(id);
      this.#unfollow(id);
    }
    if (!after || !spec) return;
    if (!this.#followed.has(id)) {
      if (after.status === "ready" && !this.#refused.has(id)) this.#follow(after, spec);
      return;
    }
    const isBack = after.status === "ready" && before?.status !== "ready";
    const hasOthers = before?.models.join("\n") !== after.models.join("\n");
    // Its policies have forgotten it, or are new.
    if (isBack || hasOthers) this.#followed.get(id)?.feed.tellAll();
  }

  /** Where the worker's events are, if anybody wants them. */
  #wanted(worker: Worker): KvEventsSpec | undefined {
    const { policies, defaults } = this.#deps;
    if (worker.status === "draining") return undefined;
    const spec = worker.spec.kvEvents ?? defaults ?? worker.info.kvEvents;
    if (!spec) return undefined;
    return worker.models.some((model) => policies.takesCacheNews(model, worker.role)) ? spec : undefined;
  }

  #follow(worker: Worker, spec: KvEventsSpec): void {
    const { id, url, slot } = worker;
    const { clock, logger } = this.#deps;
    this.#following ??= this.#open();
    const fields = { worker: id, url };
    let isExact = false;
    try {
      const feed = this.#following.follow(spec, worker, {
        stored: (lora, hashes) => this.#tell(id, slot, lora, { kind: "stored", hashes }),
        removed: (lora, hashes) => this.#tell(id, slot, lora, { kind: "removed", hashes }),
        cleared: () => this.#tellAll(id, slot, { kind: "cleared" }),
        exact: (isExact) => this.#tellAll(id, slot, { kind: "exact", isExact }),
        onState: (state, reason) => {
          const line = { ...fields, state, reason };
          if (isExact || state === "partial") logger.warn(line, "the KV events of a worker");
          else logger.info(line, "the KV events of a worker");
          isExact = state === "exact";
        },
      });
      const cancelTell = clock.after(TELL_UNREACHED_MS, () => {
        const { state, reason } = feed.view;
        if (state === "connecting") logger.warn({ ...fields, state, reason }, "the KV events of a worker do not come");
      });
      this.#followed.set(id, { spec, ranks: worker.rank?.of, feed, cancelTell });
    } catch (error) {
      const reason = errorMessage(error);
      this.#refused.set(id, reason);
      logger.error({ ...fields, reason }, "the KV events of a worker cannot be followed");
    }
  }

  #unfollow(id: string): void {
    const followed = this.#followed.get(id);
    if (!followed) return;
    this.#followed.delete(id);
    followed.cancelTell();
    followed.feed[Symbol.dispose]();
  }

  /** Blocks of an adapter go to the adapter's own policy, all others to those of the worker's other models. */
  #tell(id: string, slot: number, lora: string | undefined, news: CacheNews): void {
    const worker = this.#deps.workers.get(id);
    if (!worker) return;
    const { policies } = this.#deps;
    const adapters = new Set(worker.info.cards.flatMap((card) => (card.parent === undefined ? [] : [card.id])));
    for (const model of worker.models) {
      if (lora === undefined ? !adapters.has(model) : model === lora)
        policies.cacheNews(model, worker.role, slot, news);
    }
    if (lora === undefined) policies.cacheNews(undefined, worker.role, slot, news);
  }

  #tellAll(id: string, slot: number, news: CacheNews): void {
    const worker = this.#deps.workers.get(id);
    if (!worker) return;
    const { policies } = this.#deps;
    for (const model of worker.models) policies.cacheNews(model, worker.role, slot, news);
    policies.cacheNews(undefined, worker.role, slot, news);
  }
}

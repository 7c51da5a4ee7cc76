import { z } from "zod";
import { CandidatePlaces } from "./candidate-places.ts";
import { definePolicy } from "./define-policy.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { PickReason } from "./pick-reasons.ts";
import type { Candidate, Policy, PolicyParts, RequestFeatures } from "./policy.ts";
import { SESSION_OPTIONS } from "./session-options.ts";
import { SessionTable } from "./session-table.ts";

const OPTIONS = z.strictObject({
  ...SESSION_OPTIONS,
  assignmentMode: z.enum(["random", "min_load", "min_group"]).default("random").meta({
    description:
      "which worker a new session gets: any (`random`), the one with the fewest requests in flight (`min_load`), or the one with the fewest sessions (`min_group`).",
  }),
});

type ManualOptions = z.output<typeof OPTIONS>;

/**
 * Keeps a session on the worker that it got first, as long as that worker can take requests. Unlike a hash ring it can give a new
 * session the worker with the least to do, and a worker that joins takes no session from another. The threads have one table.
 */
export const manual = definePolicy({
  name: "manual",
  chooses: "the worker that the session or user had before; a new one gets a worker by assignment_mode",
  goodFor: "sessions that must stay on one worker, training rollouts",
  nearestTo: {
    sticky_least_loaded:
      "keeps a session on one worker; with --assignment-mode min_group a new one gets the worker with the fewest",
  },
  signals: { routing_key: "takes a worker by assignment_mode for each request" },
  keepsMemory: true,
  options: OPTIONS,
  create: (options, parts) => new Manual(options, parts),
});

class Manual implements Policy {
  readonly name = "manual";
  readonly keepsSessions = true;
  lastReason: PickReason = "session";
  readonly #mode: ManualOptions["assignmentMode"];
  readonly #table: SessionTable;
  readonly #random: PolicyParts["random"];
  readonly #now: PolicyParts["now"];
  readonly #leastLoaded: LeastLoaded;
  readonly #fewestSessions: LeastLoaded;
  readonly #places = new CandidatePlaces();

  constructor(
    { assignmentMode, ...options }: ManualOptions,
    { memory, random, now }: Pick<PolicyParts, "memory" | "random" | "now">,
  ) {
    this.#mode = assignmentMode;
    this.#table = new SessionTable(options, memory);
    this.#random = random;
    this.#now = now;
    this.#leastLoaded = new LeastLoaded(random);
    this.#fewestSessions = new LeastLoaded(random, ({ slot }) => this.#table.sessionsOf(slot, now()));
  }

  get sessions(): SessionTable {
    return this.#table;
  }

  pick(candidates: readonly Candidate[], request: RequestFeatures): number {
    const key = request.routingKey();
    if (key === undefined) return this.#fresh(candidates);
    const now = this.#now();
    const slot = this.#table.find(key, now);
    const known = slot < 0 ? -1 : (this.#places.of(candidates)[slot] ?? -1);
    if (known >= 0) {
      this.lastReason = "session";
      this.#table.keep(now);
      return known;
    }
    const chosen = this.#fresh(candidates);
    const worker = candidates[chosen];
    if (!worker) return chosen;
    this.#table.assign(worker.slot, now);
    this.#table.note(slot < 0 ? "new" : "lost");
    return chosen;
  }

  homeOf(request: RequestFeatures): number {
    const key = request.routingKey();
    return key === undefined ? -1 : this.#table.find(key, this.#now());
  }

  forget(_workerId: string, slot: number): void {
    this.#table.forget(slot);
  }

  #fresh(candidates: readonly Candidate[]): number {
    this.lastReason = this.#mode === "random" ? "chance" : "least_loaded";
    switch (this.#mode) {
      case "random":
        return Math.floor(this.#random() * candidates.length);
      case "min_load":
        return this.#leastLoaded.find(candidates);
      case "min_group":
        return this.#fewestSessions.find(candidates);
    }
  }
}

import { chatRequest } from "./payloads.ts";
import { visit, type Visit } from "./soak-client.ts";

export interface SoakOutcome {
  readonly kind: Visit["kind"];
  readonly outcome: string;
  /** When it ended, performance.now(). */
  readonly at: number;
  /** How long it took, ms. */
  readonly ms: number;
}

const BIG_BYTES = 300_000;
const PROMPTS = 64;

/** Clients that come at a fixed rate, half of whom leave before they have their answer. */
export class SoakLoad {
  readonly outcomes = new Map<string, number>();
  readonly errors: SoakOutcome[] = [];
  readonly #origin: string;
  readonly #pending = new Set<Promise<void>>();
  #isOver = false;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Clients that have come so far. */
  get count(): number {
    return [...this.outcomes.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Resolves after `stop`, when the last client is gone. */
  async run(perSec: number): Promise<void> {
    const from = performance.now();
    for (let index = 0; !this.#isOver; index += 1) {
      const wait = from + (index * 1000) / perSec - performance.now();
      if (wait > 0) await Bun.sleep(wait);
      const one = this.#visit(randomVisit());
      this.#pending.add(one);
      void one.finally(() => this.#pending.delete(one));
    }
    await Promise.all(this.#pending);
  }

  stop(): void {
    this.#isOver = true;
  }

  async #visit(wanted: Visit): Promise<void> {
    const from = performance.now();
    const outcome = await visit(this.#origin, wanted).catch(() => "not_connected");
    const key = `${wanted.kind} ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
    if (outcome !== "ok" && outcome !== "left") {
      const at = performance.now();
      this.errors.push({ kind: wanted.kind, outcome, at, ms: at - from });
    }
  }
}

function randomVisit(): Visit {
  const chance = Math.random();
  const kind = chance < 0.5 ? "stream" : chance < 0.9 ? "json" : "big";
  const request = requestOf(kind);
  const isLeaving = Math.random() < 0.5;
  const isInUpload = isLeaving && Math.random() < 0.2;
  return {
    kind,
    request,
    leaveAfterBytes: isInUpload ? Math.floor(Math.random() * (request.length - 1)) + 1 : undefined,
    // A stream lasts a second, an answer in JSON takes up to 200 ms.
    leaveAfterMs: isLeaving && !isInUpload ? Math.random() * (kind === "stream" ? 900 : 150) : undefined,
  };
}

function requestOf(kind: Visit["kind"]): Uint8Array {
  const conversation = `conversation ${Math.floor(Math.random() * PROMPTS)} `;
  switch (kind) {
    case "stream":
      return chatRequest(conversation, "stream 50 20", true);
    case "json":
      return chatRequest(conversation, `wait ${Math.floor(Math.random() * 200)}`, false);
    case "big":
      return chatRequest(conversation.repeat(BIG_BYTES / conversation.length), "summarise", false);
  }
}

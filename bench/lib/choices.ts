import { requestWith } from "../../test/support/candidates.ts";
import type { Policy, RequestFeatures } from "../../src/policy/policy.ts";
import { hashPrompt, NO_PROMPT } from "../../src/policy/prefix-blocks.ts";
import { FLEET_MODEL, type Fleet } from "./bench-fleet.ts";
import { median } from "./statistics.ts";

const REQUESTS = 64;
const CONVERSATIONS = 16;
/** Long enough for the compiler to have done its work, and for the index to have what it will have, ms. */
const WARM_UP_MS = 800;
const MEASURE_MS = 200;

/** Times of one request, µs: the median of batches of 64. */
export interface ChoiceTimes {
  /** Of hashing the prompt's blocks. */
  readonly hash: number;
  /** Of `pick` with hashes that are there, and of the request's end. */
  readonly choice: number;
}

export interface Prompts {
  readonly bytes: number;
  /** The second half of each prompt is one that was never seen. Otherwise all 64 come again and again. */
  readonly areNew: boolean;
}

/** Measures a policy with 64 different prompts, each of which shares its first half with three others, as turns of conversations do. */
export function timeChoices(policy: Policy, fleet: Fleet, { bytes, areNew }: Prompts): ChoiceTimes {
  const requests = Array.from({ length: REQUESTS }, (_, index) => new BenchRequest(bytes, index));
  let turn = 0;
  const batch = (): ChoiceTimes => {
    for (const request of requests) if (areNew) request.renew((turn += 1));
    const from = performance.now();
    for (const request of requests) request.hash();
    const hashed = performance.now();
    for (const { features } of requests) choose(policy, fleet, features);
    const over = performance.now();
    return { hash: ((hashed - from) * 1000) / REQUESTS, choice: ((over - hashed) * 1000) / REQUESTS };
  };
  batchesFor(WARM_UP_MS, batch);
  const times = batchesFor(MEASURE_MS, batch);
  return { hash: median(times.map(({ hash }) => hash)), choice: median(times.map(({ choice }) => choice)) };
}

/** From the registry's list to a worker, and the end. */
function choose(policy: Policy, fleet: Fleet, features: RequestFeatures): void {
  const picked = policy.pick(fleet.available(), features);
  if (typeof picked !== "number") picked.onEnd?.({ outcome: "answered", ms: 0, usage: undefined });
}

function batchesFor(ms: number, batch: () => ChoiceTimes): ChoiceTimes[] {
  const times: ChoiceTimes[] = [];
  for (const until = performance.now() + ms; performance.now() < until;) times.push(batch());
  return times;
}

class BenchRequest {
  readonly features: RequestFeatures;
  readonly #prompt: Buffer;
  #blocks = NO_PROMPT;

  constructor(bytes: number, index: number) {
    const prompt = Buffer.alloc(bytes, `conversation ${index % CONVERSATIONS} `);
    this.#prompt = prompt;
    this.features = requestWith({
      model: FLEET_MODEL,
      promptTokens: bytes >> 2,
      promptBytes: () => prompt,
      promptBlocks: () => this.#blocks,
      routingKey: () => `session-${index}`,
    });
    this.renew(-index);
  }

  /** Writes another turn after the first half. */
  renew(turn: number): void {
    this.#prompt.write(`turn ${turn}. `, this.#prompt.length >> 1);
  }

  hash(): void {
    this.#blocks = hashPrompt(this.#prompt);
  }
}

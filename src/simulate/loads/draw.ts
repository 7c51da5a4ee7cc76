import { GatewayError } from "../../errors/errors.ts";
import type { Random } from "../../policy/policy.ts";
import { seededRandom } from "../seeded-random.ts";
import type { Prompt, Segment, Session, Turn } from "./load.ts";

/** Bytes of a token of usual text. */
const BYTES_PER_TOKEN = 4;

/** Most texts of a load. Each request has one or two, so these are one or two million requests, which take up to 2 GB. */
const MOST_TEXTS = 2_000_000;

/** Draws the numbers and the texts of one load. */
export class Draw {
  readonly random: Random;
  #segments = 0;
  #keys = 0;

  constructor(seed: number, name: string) {
    this.random = seededRandom(seed, Bun.hash.xxHash32(name));
  }

  /** A text that nobody else has. Throws invalid_request where the load has grown beyond what fits into memory. */
  text(tokens: number): Segment {
    this.#segments += 1;
    this.expect(this.#segments);
    return { id: this.#segments, tokens: Math.max(1, Math.round(tokens)) };
  }

  /** Throws invalid_request where so many texts, or sessions of at least one text, would not fit into memory. */
  expect(texts: number): void {
    if (texts <= MOST_TEXTS) return;
    const reason = "it would have more than a million requests; take a lower rate, a shorter time or fewer workers";
    throw new GatewayError("invalid_request", reason);
  }

  texts(count: number, tokens: () => number): Segment[] {
    return Array.from({ length: count }, () => this.text(tokens()));
  }

  /** A key of a session that nobody else has. */
  key(): number {
    this.#keys += 1;
    return this.#keys;
  }

  uniform(from: number, to: number): number {
    return from + (to - from) * this.random();
  }

  /** A whole number, both ends included. */
  whole(from: number, to: number): number {
    return from + Math.floor((to - from + 1) * this.random());
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.random());
  }

  /** Lognormal by its median and the standard deviation of its logarithm. */
  lognormal(median: number, sigma: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.random()));
    return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * this.random()));
  }

  /** One of some, each as likely as the others. */
  oneOf<T>(some: readonly T[]): T {
    const one = some[Math.floor(some.length * this.random())];
    if (one === undefined) throw new RangeError("there is nothing to choose from");
    return one;
  }

  /** One of some, where the n-th is n to the power of `skew` times as rare as the first. */
  popular<T>(some: readonly T[], skew: number): T {
    let total = 0;
    for (let rank = 1; rank <= some.length; rank += 1) total += rank ** -skew;
    let left = this.random() * total;
    for (const [index, one] of some.entries()) {
      left -= (index + 1) ** -skew;
      if (left <= 0) return one;
    }
    const [first] = some;
    if (first === undefined) throw new RangeError("there is nothing to choose from");
    return first;
  }

  /** Times of independent arrivals, ms: so many a second, up to `untilMs`. */
  *arrivals(perSecond: number, untilMs: number, fromMs = 0): Generator<number, void, void> {
    for (let at = fromMs + this.exponential(1000 / perSecond); at < untilMs; at += this.exponential(1000 / perSecond)) {
      yield at;
    }
  }
}

/** A prompt of these texts. */
function promptOf(segments: readonly Segment[], bytesPerToken = BYTES_PER_TOKEN): Prompt {
  return { segments, tokens: segments.reduce((sum, { tokens }) => sum + tokens, 0), bytesPerToken };
}

/** What a conversation adds to its prompt in one turn. */
export interface Exchange {
  readonly message: Segment;
  readonly answer: Segment;
  readonly thinkMs: number;
}

/** Turns of a conversation: each prompt holds everything that was said before. */
export function conversation(
  beginning: readonly Segment[],
  exchanges: readonly Exchange[],
  bytesPerToken?: number,
): Turn[] {
  let before = beginning;
  return exchanges.map(({ message, answer, thinkMs }) => {
    const segments = [...before, message];
    before = [...segments, answer];
    return { prompt: promptOf(segments, bytesPerToken), outputTokens: answer.tokens, answer, thinkMs };
  });
}

/** A session of one request. */
export function single(draw: Draw, startAtMs: number, segments: readonly Segment[], outputTokens: number): Session {
  const outputs = Math.max(1, Math.round(outputTokens));
  const turn = { prompt: promptOf(segments), outputTokens: outputs, answer: undefined, thinkMs: 0 };
  return { startAtMs, key: draw.key(), turns: [turn] };
}

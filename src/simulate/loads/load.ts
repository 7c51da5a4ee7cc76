import type { WorkerType } from "../../util/worker-type.ts";
import type { EngineModel } from "../engine-models.ts";

/** A piece of text. Segments with the same id have the same text; a shorter one is the beginning of a longer one. */
export interface Segment {
  readonly id: number;
  readonly tokens: number;
}

/** A prompt as the texts that it is made of. Prompts that begin with the same segments share that prefix. */
export interface Prompt {
  readonly segments: readonly Segment[];
  /** Sum over the segments. */
  readonly tokens: number;
  /** Bytes that a token has on the way through the gateway; 4 where nothing else is known. */
  readonly bytesPerToken: number;
}

/** One request of a session. */
export interface Turn {
  readonly prompt: Prompt;
  /** Tokens of the answer, at least 1. */
  readonly outputTokens: number;
  /** The answer as later prompts hold it; undefined where none does, so its blocks help nobody. */
  readonly answer: Segment | undefined;
  /** Pause between the end of the answer before and this request, ms; 0 for the first turn. */
  readonly thinkMs: number;
}

/** A client that sends its next request only after it has the answer before: a closed loop. A session of one turn is an open arrival. */
export interface Session {
  readonly startAtMs: number;
  readonly turns: readonly Turn[];
  /** Clients with the same key are one user to policies that go by routing keys. */
  readonly key: number;
}

/** One worker of the fleet. */
export interface WorkerSpec {
  readonly engine: EngineModel;
  /** Tokens that its KV cache holds. */
  readonly kvTokens: number;
  /** Its steps take this many times as long as the model of its engine says; 1 for the usual pace. */
  readonly slowness: number;
  /** The gateways know it from here on; 0 for a worker that is there from the start. */
  readonly joinsAtMs: number;
  /** `regular` by default. Where there are prefill workers, every request is answered by a decode worker. */
  readonly role?: WorkerType;
}

/**
 * Something that happens to a worker at a time:
 * - `slow`: from now on its steps take `slowness` times as long as its model says.
 * - `freeze`: it does nothing for `ms`.
 * - `die`: its requests fail, and so does each new one, until it is restarted.
 * - `restart`: its requests fail, and its cache is empty afterwards. The gateways see the restart. A dead worker is back.
 */
export type Fault =
  | { readonly kind: "slow"; readonly atMs: number; readonly worker: number; readonly slowness: number }
  | { readonly kind: "freeze"; readonly atMs: number; readonly worker: number; readonly ms: number }
  | { readonly kind: "die" | "restart"; readonly atMs: number; readonly worker: number };

/** What a request has to keep to count for goodput. */
export interface Slo {
  readonly ttftMs: number;
  /** Mean time between tokens of one answer, ms. */
  readonly tpotMs: number;
}

/** A fleet and the requests that it gets: the same for each policy. */
export interface Load {
  readonly name: string;
  readonly workers: readonly WorkerSpec[];
  /** In order of their start. */
  readonly sessions: readonly Session[];
  readonly faults: readonly Fault[];
  readonly slo: Slo;
  /** No turn is sent after this time; those that were sent before are answered. */
  readonly durationMs: number;
  /** Requests that arrive before this time are simulated, but do not count in results: caches and rates are cold. */
  readonly warmupMs: number;
}

import type { JsonObject } from "../../../src/protocol/json/json.ts";
import type { RecordedRequest } from "../../../src/engine-sim/engine.ts";
import type { Plan } from "../../../src/engine-sim/generation.ts";
import type { GenerationRun } from "../../../src/engine-sim/generation-run.ts";
import type { PdJournal } from "./journal.ts";
import type { KvStore } from "./kv-store.ts";
import type { PdDialect, PdRecord } from "./pd-options.ts";

/** What a protocol knows of the engine it is spoken by. */
export interface PdContext {
  readonly dialect: PdDialect;
  readonly engineId: string;
  readonly dpSize: number;
  readonly waitMs: number;
  readonly followsRoom: boolean;
  readonly journal: PdJournal;
  readonly record: PdRecord;
  readonly store: KvStore;
  /** `host:port` where this engine's KV is to be had, or brought to. */
  readonly address: () => string;
}

/** One request of a leg. */
export interface LegRequest {
  readonly request: RecordedRequest;
  readonly body: JsonObject;
  /** The same with numbers as they were written. */
  readonly exact: JsonObject;
  /** One for each sequence. */
  readonly prompts: readonly Uint8Array[];
}

/** A leg that may run. */
export interface Leg {
  run(run: GenerationRun): GenerationRun;
  /** Before the answer's head is sent. */
  leave?(response: Response): Promise<Response>;
  /** It will not be answered: the client went, or the engine fails. */
  abandon?(): void;
}

/** A dialect. Both methods throw a PdError where the request departs from it. */
export interface PdProtocol {
  /** Names of the transfers that the request speaks of, as far as they can be read. */
  keys(leg: LegRequest): readonly string[];
  prefill(leg: LegRequest): Promise<Leg>;
  decode(leg: LegRequest): Promise<Leg>;
  /** Pages of the KV port besides the transfer itself. */
  readonly kvRoutes: Readonly<Record<string, (request: Request) => Response | Promise<Response>>>;
}

/** The run with each of its plans changed, in the order in which they are made. */
export function planned(run: GenerationRun, change: (plan: Plan, index: number) => Plan): GenerationRun {
  let count = 0;
  return { ...run, plan: (prompt, begun) => change(run.plan(prompt, begun), count++) };
}

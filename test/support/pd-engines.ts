import type { EngineOptions, SimulatedEngine } from "../../src/engine-sim/engine.ts";
import type { PdFault } from "../engines/pd/faults.ts";
import { PdJournal } from "../engines/pd/journal.ts";
import { type PdEngine, startPdEngine } from "../engines/pd/pd-engine.ts";
import type { PdOptions } from "../engines/pd/pd-options.ts";
import { isJsonObject } from "../../src/protocol/json/json.ts";
import { startEngine } from "./engine.ts";

export interface PdFleetOptions extends Omit<PdOptions, "side" | "journal" | "fault"> {
  readonly prefills?: number;
  readonly decodes?: number;
  /** What befalls engines from the start, by their place; `setFault` changes it. */
  readonly faults?: {
    readonly prefills?: readonly (PdFault | undefined)[];
    readonly decodes?: readonly (PdFault | undefined)[];
  };
  readonly engine?: EngineOptions;
}

export interface PdFleet extends AsyncDisposable {
  readonly prefills: readonly PdEngine[];
  readonly decodes: readonly PdEngine[];
  /** Departures from the protocol at all engines. */
  readonly violations: readonly string[];
  /** Prompt tokens that decode engines got from prefill engines. */
  readonly kvTokens: number;
  /** One engine that nobody disturbs, and that does both. */
  readonly single: SimulatedEngine;
  /** The text of its answer to a request; of several answers the texts, one a line. */
  referenceText(path: string, body: object): Promise<string>;
}

/** Prefill and decode engines of one dialect that answer at once, and one engine that does both for comparison. */
export async function startPdFleet(options: PdFleetOptions): Promise<PdFleet> {
  const { prefills: prefillCount = 2, decodes: decodeCount = 2, faults = {}, engine, ...pd } = options;
  const journal = new PdJournal();
  const start = (side: "prefill" | "decode", count: number, sideFaults: readonly (PdFault | undefined)[] = []) =>
    Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const fault = sideFaults[index];
        return startPdEngine({ ...pd, side, journal, ...(fault ? { fault } : {}) }, { instant: true, ...engine });
      }),
    );
  const prefills = await start("prefill", prefillCount, faults.prefills);
  const decodes = await start("decode", decodeCount, faults.decodes);
  const single = await startEngine({ kind: pd.dialect === "sglang" ? "sglang" : "vllm", ...engine });
  const all = [...prefills, ...decodes];
  return {
    prefills,
    decodes,
    get violations() {
      return all.flatMap(({ record }) => record.violations);
    },
    get kvTokens() {
      return decodes.reduce((sum, { record }) => sum + record.kvTokens, 0);
    },
    single,
    referenceText: async (path, body) => {
      const whole = JSON.stringify({ ...body, stream: false });
      return answerText(await (await fetch(`${single.url}${path}`, { method: "POST", body: whole })).json());
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...all, single].map(async (one) => one.stop()));
    },
  };
}

/** The text of a whole answer, of whatever API. */
export function answerText(answer: unknown): string {
  if (Array.isArray(answer)) return answer.map(answerText).join("\n");
  if (!isJsonObject(answer)) return "";
  const inside = answer["choices"] ?? answer["message"] ?? answer["output"] ?? answer["content"] ?? answer["text"];
  return typeof inside === "string" ? inside : answerText(inside);
}

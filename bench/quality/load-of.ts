import type { Load } from "../../src/simulate/loads/load.ts";
import { LOADS } from "../../src/simulate/loads/loads.ts";
import { readTrace } from "../../src/simulate/traces/trace-file.ts";
import { traceLoad } from "../../src/simulate/traces/trace-load.ts";

/** Workers of each load. */
export const WORKERS = 8;

/** What is played: a load of `simulate` or a trace's file, the seed, and for how long requests arrive, s. */
export interface Played {
  readonly load: string;
  /** Path of a trace that is played in place of a load. */
  readonly trace: string | undefined;
  readonly seed: number;
  readonly seconds: number;
}

/** As words of a command line. */
export function wordsOf({ load, trace = "", seed, seconds }: Played): readonly string[] {
  return [load, trace, String(seed), String(seconds)];
}

/** From words of a command line. Throws where there is no load of this name. */
export function loadOf([name = "", trace = "", seed = "", seconds = ""]: readonly string[]): Load {
  const options = { seed: Number(seed), durationSecs: Number(seconds), rate: 1, workers: WORKERS };
  if (trace !== "") return traceLoad(readTrace(trace), trace, { ...options, model: undefined, isClosedLoop: false });
  const row = LOADS.find((one) => one.name === name);
  if (!row) throw new Error(`no load is called ${name}`);
  return row.create(options);
}

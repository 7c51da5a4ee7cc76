import { LOADS } from "../../src/simulate/loads/loads.ts";
import type { Load } from "../../src/simulate/loads/load.ts";

/** Workers of each load. */
export const WORKERS = 8;

/** A load by its name. Throws where there is none of this name. */
export async function loadOf(
  name: string,
  seed: number,
  durationSecs: number,
  _traces: readonly string[],
): Promise<Load> {
  const row = LOADS.find((one) => one.name === name);
  if (!row) throw new Error(`no load is called ${name}`);
  return row.create({ seed, durationSecs });
}

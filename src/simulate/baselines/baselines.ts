import { aibrix } from "./aibrix.ts";
import type { Baseline } from "./baseline.ts";
import { chbl, chblPrefix } from "./bounded-hash.ts";
import { leastRequests, p2c, tokens } from "./by-load.ts";
import { sglang, smg, vllmRouter } from "./cache-aware.ts";
import { dualmap } from "./dualmap.ts";
import { dynamo, dynamoLmetric } from "./dynamo.ts";
import { gie, gieFresh } from "./gie.ts";
import { llmd } from "./llmd.ts";
import { loadaware } from "./loadaware.ts";
import { preble } from "./preble.ts";

/** All baselines, in the order of `--help`. */
export const BASELINES: readonly Baseline[] = [
  smg,
  sglang,
  vllmRouter,
  gie,
  gieFresh,
  llmd,
  dynamo,
  dynamoLmetric,
  aibrix,
  preble,
  dualmap,
  loadaware,
  chbl,
  chblPrefix,
  p2c,
  leastRequests,
  tokens,
];

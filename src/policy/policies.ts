import { bucket } from "./bucket.ts";
import { cacheAware } from "./cache-aware.ts";
import { consistentHashing } from "./consistent-hashing.ts";
import { leastLoad } from "./least-load.ts";
import { leastTtft } from "./least-ttft/least-ttft.ts";
import { lmetric } from "./lmetric.ts";
import { manual } from "./manual.ts";
import { passthrough } from "./passthrough.ts";
import { powerOfTwo } from "./power-of-two.ts";
import { prefixHash } from "./prefix-hash.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round-robin.ts";
import { shortestQueue } from "./shortest-queue.ts";
import { twoChoiceHash } from "./two-choice-hash.ts";

/** All built-in policies, in the order of the pages and of `--help`. A new policy is added here. */
export const POLICIES = [
  leastTtft,
  cacheAware,
  leastLoad,
  lmetric,
  shortestQueue,
  powerOfTwo,
  roundRobin,
  random,
  consistentHashing,
  manual,
  prefixHash,
  twoChoiceHash,
  bucket,
  passthrough,
] as const;

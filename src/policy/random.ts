import { definePolicy, NO_OPTIONS } from "./define-policy.ts";
import type { Policy, Random } from "./policy.ts";

/** Chooses at random: a baseline for other policies. */
export const random = definePolicy({
  name: "random",
  chooses: "any worker, each as likely as the other",
  goodFor: "a baseline",
  options: NO_OPTIONS,
  create: (_options, parts) => createRandom(parts.random),
});

function createRandom(draw: Random): Policy {
  return { name: "random", pick: (candidates) => Math.floor(draw() * candidates.length), lastReason: "chance" };
}

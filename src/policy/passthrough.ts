import { definePolicy, NO_OPTIONS } from "./define-policy.ts";

/** Chooses the first worker: for a gateway in front of a single worker. */
export const passthrough = definePolicy({
  name: "passthrough",
  chooses: "the first worker",
  goodFor: "a single worker",
  options: NO_OPTIONS,
  create: () => ({ name: "passthrough", pick: () => 0, lastReason: "fixed" }),
});

import { definePolicy, NO_OPTIONS } from "./define-policy.ts";

/** For a gateway before one worker: nothing to choose. */
export const passthrough = definePolicy({
  name: "passthrough",
  chooses: "the first worker",
  goodFor: "a single worker",
  options: NO_OPTIONS,
  create: () => ({ name: "passthrough", pick: () => 0 }),
});

import type { Policy } from "../src/policy/policy.ts";

/** Long prompts to the first worker, the others share the rest. Run: pointsman --policy-module examples/custom-policy.ts --policy long_first */
function create(): Policy {
  let turn = 0;
  return {
    name: "long_first",
    pick: (candidates, request) =>
      request.promptTokens > 500 || candidates.length === 1 ? 0 : 1 + (turn++ % (candidates.length - 1)),
  };
}

export default { name: "long_first", create };

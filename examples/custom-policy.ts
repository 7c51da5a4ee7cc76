import type { Policy } from "../src/policy/policy.ts";

interface Options {
  /** A prompt of more tokens than this is long. */
  readonly longTokens: number;
}

/** Reads the pattern's `config`. A zod schema can stand here as well. */
const options = {
  parse(given: { readonly longTokens?: unknown }): Options {
    const { longTokens = 500 } = given;
    if (typeof longTokens !== "number") throw new Error("long_tokens must be a number");
    return { longTokens };
  },
};

/** Sends long prompts to the first worker; the others share the rest. */
function create({ longTokens }: Options): Policy {
  let turn = 0;
  return {
    name: "long_first",
    pick(candidates, { promptTokens }) {
      if (promptTokens > longTokens || candidates.length === 1) return 0;
      turn += 1;
      return 1 + (turn % (candidates.length - 1));
    },
  };
}

export default { name: "long_first", options, create };

/**
 * Why a worker got a request, in a word that the record of the choice shows. docs/decisions.md is made from these rows. A policy gives
 * the first ones, the gateway those from `only_one` on.
 */
export const PICK_REASONS = {
  lowest_cost: "It had the lowest cost.",
  deeper_match: "Of the candidates with about the lowest cost it has most of the prompt in its cache.",
  least_recent: "Of those with the same match it was chosen least recently.",
  further_copy:
    "It did nothing, and requests with the same beginning have waited elsewhere for as long as it takes to prefill that once more here.",
  cached_prefix: "It has the longest prefix of the prompt in its cache, as far as the policy knows.",
  session: "The request's session, user or routing key belongs to it.",
  prompt_hash: "The beginning of the prompt belongs to it, by a hash.",
  length_range: "Prompts of this length belong to it.",
  least_loaded: "It had the least load, as the policy counts it.",
  turn: "It was its turn.",
  chance: "It was drawn at random.",
  fixed: "The policy prefers it whatever the load is.",
  prefills_alone:
    "It prefills the prompt itself, as that costs less than to let a prefill worker do it and to hand the KV cache over.",
  unsaid: "The policy does not say why: it is the operator's module.",
  only_one: "No other worker could take the request.",
  probe: "It was left out after failures, and this request finds out whether it answers again.",
  same_again: "It closed an idle connection just as the request went out, so it was asked once more.",
} as const;

/** A row of PICK_REASONS. */
export type PickReason = keyof typeof PICK_REASONS;

import type { JsonBody } from "../json/json-body.ts";

/** Members that end a generation after its first token, where the client set them to something else. */
const WHERE_SET: readonly (readonly [member: string, json: string])[] = [
  ["max_completion_tokens", "1"],
  ["min_tokens", "0"],
  ["stream_options", "null"],
  // Responses: an answer that the client fetches later does not say how its KV cache is handed over.
  ["background", "false"],
  ["kv_transfer_params", "null"],
];

/**
 * Members, as JSON text, that make an engine prefill, generate one token and answer at once, not as a stream. `limit` is the API's
 * member for the most tokens. Members that the client did not name are not added.
 */
export function oneToken(body: JsonBody, limit: "max_tokens" | "max_output_tokens"): Map<string, string> {
  const members = new Map([
    ["stream", "false"],
    [limit, "1"],
  ]);
  for (const [member, json] of WHERE_SET) if (body.raw(member)) members.set(member, json);
  return members;
}

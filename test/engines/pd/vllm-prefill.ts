import { isJsonObject, type JsonObject } from "../../../src/protocol/json/json.ts";
import { demand } from "./pd-error.ts";
import type { LegRequest } from "./pd-protocol.ts";

/** The body of a prefill leg at vLLM: the client's, cut down to one token and no stream. */
export function demandPrefillBody({ request, body }: LegRequest): void {
  const limit = request.path === "/v1/responses" ? "max_output_tokens" : "max_tokens";
  demand(body[limit] === 1, `prefill needs ${limit} 1, not ${String(body[limit])}`);
  demand(
    [undefined, null, 1].some((fit) => body["max_completion_tokens"] === fit),
    "max_completion_tokens must be 1",
  );
  const least = body["min_tokens"] ?? 0;
  demand(typeof least === "number" && least <= 1, "min_tokens must be less than or equal to max_tokens=1");
  demand((body["stream"] ?? false) === false, "prefill does not stream");
  demand((body["stream_options"] ?? null) === null, "Stream options can only be defined when `stream=True`.");
}

/** What is handed over under one name is the KV of one sequence. */
export function demandOneSequence({ prompts }: LegRequest): void {
  demand(prompts.length === 1, `a prefill makes one sequence, not ${prompts.length}`);
}

/** The `kv_transfer_params` that ask an engine to prefill for another. Absent ones count as null. */
export function demandRemoteDecode(leg: LegRequest): JsonObject {
  const params = leg.exact["kv_transfer_params"];
  demand(isJsonObject(params), "a prefill engine needs kv_transfer_params");
  demand(params["do_remote_decode"] === true, "kv_transfer_params.do_remote_decode must be true");
  demand(params["do_remote_prefill"] === false, "kv_transfer_params.do_remote_prefill must be false");
  for (const [name, value] of Object.entries(params)) {
    demand(!name.startsWith("remote_") || value === null, `kv_transfer_params.${name} must be null for a prefill`);
  }
  return params;
}

/** The `kv_transfer_params` of a decode leg; undefined where it has none and prefills for itself. */
export function readRemotePrefill(leg: LegRequest): JsonObject | undefined {
  const params = leg.exact["kv_transfer_params"];
  if (params === undefined || params === null) return undefined;
  demand(isJsonObject(params), "kv_transfer_params must be an object");
  demand(
    leg.prompts.length === 1,
    "kv_transfer_params are of one sequence: without them an engine prefills for itself",
  );
  return params;
}

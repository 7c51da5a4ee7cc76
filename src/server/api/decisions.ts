import { decisionView } from "../../router/decision-view.ts";
import type { DecisionQuery, FoundDecisions } from "../../router/decision-log.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";
import type { Route } from "../route.ts";
import { refuseUnknown, wholeNumberIn } from "./query.ts";

export interface DecisionsDeps {
  /** Choices that each thread keeps; 0: none. */
  readonly logSize: number;
  readonly find: (query: DecisionQuery) => Promise<FoundDecisions>;
}

/** Tries in an answer where the caller does not say how many. */
const USUAL_LIMIT = 100;
const PARAMETERS = ["request_id", "model", "worker", "limit"] as const;

/** `GET /debug/decisions`: the last choices of workers, the newest first. */
export function decisionRoutes(deps: DecisionsDeps): Route[] {
  return [{ method: "GET", path: "/debug/decisions", access: "viewer", handle: ({ query }) => answer(deps, query) }];
}

async function answer({ logSize, find }: DecisionsDeps, parameters: URLSearchParams): Promise<Reply> {
  const query = readQuery(parameters, logSize);
  const { tries, silentThreads } = await find(query);
  return jsonReply({
    decisions: tries.map(decisionView),
    log_size: logSize,
    ...(silentThreads.length > 0 ? { silent_threads: silentThreads } : {}),
  });
}

/** Throws invalid_request. */
function readQuery(parameters: URLSearchParams, logSize: number): DecisionQuery {
  refuseUnknown(parameters, PARAMETERS);
  return {
    requestId: parameters.get("request_id") ?? undefined,
    model: parameters.get("model") ?? undefined,
    worker: parameters.get("worker")?.replace(/\/+$/, ""),
    limit: Math.min(wholeNumberIn(parameters, "limit") ?? USUAL_LIMIT, logSize),
  };
}

import { GatewayError } from "../../errors/errors.ts";
import { decisionView } from "../../router/decision-view.ts";
import type { DecisionQuery, FoundDecisions } from "../../router/decision-log.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";
import type { Route } from "../route.ts";

export interface DecisionsDeps {
  /** Choices that each thread keeps; 0: none. */
  readonly logSize: number;
  readonly find: (query: DecisionQuery) => Promise<FoundDecisions>;
}

/** Tries in an answer where the caller does not say how many. */
const USUAL_LIMIT = 100;
const PARAMETERS: ReadonlySet<string> = new Set(["request_id", "model", "worker", "limit"]);

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
  for (const name of parameters.keys()) {
    if (PARAMETERS.has(name)) continue;
    const known = [...PARAMETERS].join(", ");
    throw new GatewayError("invalid_request", `unknown parameter ${JSON.stringify(name)}; there are ${known}`, {
      param: name,
    });
  }
  return {
    requestId: parameters.get("request_id") ?? undefined,
    model: parameters.get("model") ?? undefined,
    worker: parameters.get("worker")?.replace(/\/+$/, ""),
    limit: readLimit(parameters.get("limit"), logSize),
  };
}

function readLimit(text: string | null, logSize: number): number {
  if (text === null) return Math.min(USUAL_LIMIT, logSize);
  if (/^[1-9]\d{0,8}$/.test(text)) return Math.min(Number(text), logSize);
  throw new GatewayError("invalid_request", "limit must be a whole number from 1", { param: "limit" });
}

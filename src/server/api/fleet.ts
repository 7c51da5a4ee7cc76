import { isJsonObject, type JsonObject, numberField } from "../../protocol/json/json.ts";
import type { FanOutResult, Fleet } from "../../engine/fleet.ts";
import { readProfileOptions } from "../../engine/profile-options.ts";
import type { Route } from "../route.ts";
import { numbersOf } from "./worker-page.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";

/** Routes for all workers at once: flush caches, read loads, profile. */
export function fleetRoutes(fleet: Fleet): Route[] {
  return [
    {
      method: "POST",
      path: "/flush_cache",
      access: "operator",
      handle: ({ query }) => flushCache(fleet, urlIn(query)),
    },
    { method: "GET", path: "/get_loads", access: "viewer", handle: () => getLoads(fleet) },
    {
      method: "POST",
      path: "/start_profile",
      access: "operator",
      maxBodyBytes: MAX_OPTIONS_BYTES,
      handle: async ({ query, body }) => {
        const url = urlIn(query);
        const options = body && body.length > 0 ? readProfileOptions(body) : undefined;
        return profiled(await fleet.startProfiles(options, url), "started");
      },
    },
    {
      method: "POST",
      path: "/stop_profile",
      access: "operator",
      handle: async ({ query }) => profiled(await fleet.stopProfiles(urlIn(query)), "stopped"),
    },
  ];
}

const MAX_OPTIONS_BYTES = 65_536;

/** The address of the only workers that are meant; undefined for all. */
function urlIn(query: URLSearchParams): string | undefined {
  return query.get("url")?.replace(/\/+$/, "");
}

/** Answers 200 if every worker flushed, 206 if some did not. */
async function flushCache(fleet: Fleet, url: string | undefined): Promise<Reply> {
  const results = await fleet.flushCaches(url);
  return outcome(results, "all caches flushed", "did not flush", { workers_flushed: countOf(results) });
}

function profiled(results: readonly FanOutResult<true>[], word: string): Reply {
  return outcome(results, `all profilers ${word}`, `have not ${word} profiling`, {
    workers_profiled: countOf(results),
  });
}

function countOf(results: readonly FanOutResult<true>[]): number {
  return results.filter(({ value }) => value).length;
}

function outcome(results: readonly FanOutResult<true>[], all: string, some: string, counts: object): Reply {
  const successful = results.filter((result) => result.value).map((result) => result.worker.spec.url);
  const failed = results
    .filter((result) => result.error)
    .map((result) => ({ worker: result.worker.spec.url, error: result.error?.message }));
  const isWhole = failed.length === 0;
  const grpc = results.filter(({ worker }) => worker.connectionMode === "grpc").length;
  return jsonReply(
    {
      status: isWhole ? "success" : "partial_success",
      message: isWhole ? all : `${failed.length} of ${results.length} workers ${some}`,
      ...counts,
      total_http_workers: results.length - grpc,
      total_grpc_workers: grpc,
      total_workers: results.length,
      successful,
      failed,
    },
    { status: isWhole ? 200 : 206 },
  );
}

/** Answers the engines' own counts; -1 and the gateway's count of requests where an engine has none. */
async function getLoads(fleet: Fleet): Promise<Reply> {
  const results = await fleet.loads();
  const workers = results.map(({ worker, value }) => ({
    worker: worker.url,
    worker_type: worker.spec.workerType,
    load: value ? usedTokens(value) : -1,
    in_flight: worker.requestsInFlight,
    ...(value ? { details: numbersOf(value) } : {}),
  }));
  return jsonReply({ workers });
}

function usedTokens(details: JsonObject): number {
  const loads = details["loads"];
  if (!Array.isArray(loads)) return numberField(details, "load") ?? numberField(details, "num_tokens") ?? -1;
  let sum = 0;
  for (const entry of loads) {
    if (isJsonObject(entry)) sum += numberField(entry, "num_used_tokens") ?? numberField(entry, "num_tokens") ?? 0;
  }
  return sum;
}

import { type JsonObject, stringField } from "../protocol/json/json.ts";
import { isRecord } from "../util/objects.ts";
import type { KvEventsSpec } from "../worker/worker-spec.ts";
import { saidCount, saidText } from "./said.ts";

/** The default of the engines. */
const DEFAULT_ENDPOINT = "tcp://*:5557";
/** An address where the engine waits on all interfaces. */
const WAITS_ANYWHERE = /^tcp:\/\/(?:\*|0\.0\.0\.0|\[::\]):(\d{1,5})$/;
/** Ranks that can be followed. */
const MAX_RANKS = 31;

/**
 * Where the engine publishes KV events, by the argument `kv_events_config` of its server. Undefined where it publishes none, or where it
 * connects to an address of its own: nobody but the operator knows who waits there.
 */
export function kvEventsOf(args: JsonObject): KvEventsSpec | undefined {
  const config = parsed(args["kv_events_config"]);
  if (!config || stringField(config, "publisher") !== "zmq") return undefined;
  const endpoint = onWorker(saidText(config, "endpoint") ?? DEFAULT_ENDPOINT);
  const ranks = saidCount(args, "dp_size") ?? 1;
  if (endpoint === undefined || ranks > MAX_RANKS) return undefined;
  const replay = saidText(config, "replay_endpoint");
  return {
    endpoint,
    replayEndpoint: replay === undefined ? undefined : onWorker(replay),
    topic: saidText(config, "topic") ?? "",
    ranks,
  };
}

function onWorker(endpoint: string): string | undefined {
  const port = WAITS_ANYWHERE.exec(endpoint)?.[1];
  return port === undefined ? undefined : `tcp://{host}:${port}`;
}

/** The argument is JSON text; newer servers may print it as an object. */
function parsed(value: unknown): JsonObject | undefined {
  if (typeof value !== "string") return isRecord(value) ? value : undefined;
  try {
    const config: unknown = JSON.parse(value);
    return isRecord(config) ? config : undefined;
  } catch {
    // The server has started with it, so it is of a form that is not known here.
    return undefined;
  }
}

import {
  isJsonObject,
  type JsonObject,
  numberField,
  objectField,
  stringField,
} from "../../../src/protocol/json/json.ts";
import type { Kv, KvStore } from "./kv-store.ts";
import type { PdContext } from "./pd-protocol.ts";
import { PdError } from "./pd-error.ts";

/*
 * The way on which KV moves between two simulated engines. Real ones use RDMA, shared memory or NCCL after a handshake
 * on a port; here the port speaks HTTP, and what moves is the statement that it moved.
 */

/** What an engine that fetches says of what it wants. */
export interface KvAsk {
  readonly key: string;
  readonly prompt: string;
  /** Undefined where the asking engine does not know it. */
  readonly rank?: number | undefined;
  readonly agreed?: Readonly<Record<string, string>>;
}

type Handler = (request: Request) => Response | Promise<Response>;

/** Opens the port of an engine. `waitMs`: longest that a question for KV that is not there yet waits. */
export function openKvPort(
  store: KvStore,
  waitMs: number,
  routes: Readonly<Record<string, Handler>>,
): Bun.Server<undefined> {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    routes: {
      ...routes,
      "/kv/fetch": async (request) => {
        const ask: unknown = await request.json();
        return Response.json(isJsonObject(ask) ? await give(store, waitMs, ask, request.signal) : { news: "dropped" });
      },
    },
    fetch: () => new Response("", { status: 404 }),
  });
}

async function give(store: KvStore, waitMs: number, ask: JsonObject, signal: AbortSignal): Promise<object> {
  const key = stringField(ask, "key") ?? "";
  const found = await store.find(key, waitMs, signal);
  if ("news" in found) return found;
  const mismatch = difference(found.kv, ask);
  if (mismatch === undefined) store.take(key);
  else store.drop(key);
  return mismatch === undefined ? found : { mismatch };
}

function difference(kv: Kv, ask: JsonObject): string | undefined {
  const rank = numberField(ask, "rank");
  if (rank !== undefined && rank !== kv.rank) return `the KV is at data-parallel rank ${kv.rank}, not ${rank}`;
  for (const [name, value] of Object.entries(kv.agreed)) {
    const asked = objectField(ask, "agreed")?.[name];
    if (asked !== value) return `${name} is ${String(asked)} here and ${value} at the prefill engine`;
  }
  return ask["prompt"] === kv.prompt ? undefined : "the prompt is not the one that was prefilled";
}

/** Fetches KV from another engine's port; throws a PdError that says whose fault it is that there is none. */
export async function fetchKv(context: PdContext, address: string, ask: KvAsk, signal: AbortSignal): Promise<Kv> {
  const { journal, dialect } = context;
  const answer = await askPort(context, address, "/kv/fetch", ask, signal);
  const kv = objectField(answer, "kv");
  const tokens = kv && numberField(kv, "tokens");
  if (kv && tokens !== undefined) {
    return {
      prompt: ask.prompt,
      tokens,
      cachedTokens: numberField(kv, "cachedTokens") ?? 0,
      rank: numberField(kv, "rank") ?? 0,
      agreed: {},
    };
  }
  const mismatch = stringField(answer, "mismatch");
  if (mismatch !== undefined) throw new PdError(400, "violation", mismatch);
  const news = stringField(answer, "news");
  if (news === "taken" && dialect === "sglang") {
    throw new PdError(500, "violation", `${ask.key} was fetched by another decode engine before`);
  }
  const isUnknown = news === "timeout" && !journal.announced("prefill", ask.key).has(address);
  throw isUnknown
    ? new PdError(500, "violation", `the prefill engine at ${address} was never asked for ${ask.key}`)
    : new PdError(500, "kv", `no KV for ${ask.key} from ${address}: ${news ?? "no answer"}`);
}

/** One question to another engine's port. */
export async function askPort(
  { journal }: PdContext,
  address: string,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<JsonObject> {
  let answer: unknown;
  try {
    const init = body === undefined ? { signal } : { method: "POST", body: JSON.stringify(body), signal };
    answer = await (await fetch(`http://${address}${path}`, init)).json();
  } catch (cause) {
    if (signal.aborted) throw new PdError(500, "aborted", "the client went");
    const kind = journal.isAddress(address) ? "kv" : "violation";
    throw new PdError(500, kind, `no engine hands over KV at ${address}: ${String(cause)}`);
  }
  return isJsonObject(answer) ? answer : {};
}

/** `host:port` with one name for this machine. */
export function kvAddress(host: string, port: number | bigint): string {
  return `${host === "localhost" ? "127.0.0.1" : host}:${port}`;
}

import { GatewayError } from "../../errors/errors.ts";
import type { KeyDesk } from "../../keys/key-desk.ts";
import { USAGE_GROUPS, type UsageQuery, type UsageTotal, WINDOW_MS } from "../../keys/usage.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";
import type { Call, Route } from "../route.ts";
import { readJson } from "./json-request.ts";
import { wholeNumberIn } from "./query.ts";

export interface KeysDeps {
  readonly keyDesk: KeyDesk;
  readonly maxBodyBytes: number;
}

/** Most keys, or rows of usage, of one answer. */
const MAX_ROWS = 10_000;
const USUAL_ROWS = 1000;
/** An answer with a key must not be kept by anything between the gateway and its caller. */
const NOT_KEPT = { "cache-control": "no-store" };

/** Keys and their usage. A key's text is in the answer that makes it, and nowhere else. */
export function keyRoutes({ keyDesk, maxBodyBytes }: KeysDeps): Route[] {
  const idOf = ({ params }: Call): string => params["id"] ?? "";
  return [
    { method: "GET", path: "/keys", access: "viewer", handle: (call) => list(keyDesk, call) },
    {
      method: "POST",
      path: "/keys",
      access: "admin",
      maxBodyBytes,
      handle: async (call) => {
        const { record, view, text } = await keyDesk.create(readJson(call));
        call.note(record.name);
        const headers = { ...NOT_KEPT, location: `/keys/${record.id}` };
        return jsonReply({ ...view, key: text }, { status: 201, headers });
      },
    },
    {
      method: "GET",
      path: "/keys/:id",
      access: "viewer",
      handle: async (call) => jsonReply(await keyDesk.show(idOf(call))),
    },
    {
      method: "PATCH",
      path: "/keys/:id",
      access: "admin",
      maxBodyBytes,
      handle: async (call) => {
        const { record, view } = await keyDesk.update(idOf(call), readJson(call));
        call.note(record.name);
        return jsonReply(view);
      },
    },
    {
      method: "POST",
      path: "/keys/:id/rotate",
      access: "admin",
      maxBodyBytes,
      handle: async (call) => {
        const wish = call.body ? readJson(call) : {};
        const { record, view, text } = await keyDesk.rotate(idOf(call), wish);
        call.note(record.name);
        return jsonReply({ ...view, key: text }, { headers: NOT_KEPT });
      },
    },
    {
      method: "DELETE",
      path: "/keys/:id",
      access: "admin",
      handle: async (call) => {
        const { record, view } = await keyDesk.revoke(idOf(call));
        call.note(record.name);
        return jsonReply(view);
      },
    },
    { method: "GET", path: "/usage", access: "viewer", handle: (call) => usage(keyDesk, call) },
  ];
}

async function list(keyDesk: KeyDesk, { query }: Call): Promise<Reply> {
  const limit = wholeNumberIn(query, "limit") ?? USUAL_ROWS;
  return jsonReply({ keys: await keyDesk.list(Math.min(limit, MAX_ROWS), query.get("after") ?? undefined) });
}

async function usage(keyDesk: KeyDesk, { query }: Call): Promise<Reply> {
  const asked = usageQuery(query, Date.now());
  const rows = await keyDesk.usage(asked);
  return jsonReply({
    window: asked.window,
    from: new Date(asked.from).toISOString(),
    to: new Date(asked.to).toISOString(),
    usage: rows.map((row) => usageView(row)),
    is_cut: rows.length === asked.limit,
  });
}

/** Without words on time: the last hour by minutes, or the last 30 days by days. Throws invalid_request. */
function usageQuery(query: URLSearchParams, now: number): UsageQuery {
  const given = query.get("window") ?? "day";
  if (given !== "minute" && given !== "day") throw wrong("window", "must be minute or day");
  const window = given;
  const usual = window === "minute" ? 3_600_000 : 30 * WINDOW_MS.day;
  const to = timeIn(query, "to") ?? now + WINDOW_MS[window];
  const by = (query.get("by") ?? "key").split(",").map((text) => {
    const group = USAGE_GROUPS.find((name) => name === text);
    return group ?? raise(wrong("by", `must be some of ${USAGE_GROUPS.join(", ")}, with commas between them`));
  });
  return {
    window,
    to,
    from: timeIn(query, "from") ?? to - usual,
    by: [...new Set(by)],
    key: query.get("key") ?? undefined,
    model: query.get("model") ?? undefined,
    limit: Math.min(wholeNumberIn(query, "limit") ?? USUAL_ROWS, MAX_ROWS),
  };
}

function usageView({ key, model, time, ...sums }: UsageTotal): object {
  return {
    key,
    model,
    time: time === undefined ? undefined : new Date(time).toISOString(),
    requests: sums.requests,
    errors: sums.errors,
    prompt_tokens: sums.promptTokens,
    completion_tokens: sums.completionTokens,
    cached_tokens: sums.cachedTokens,
  };
}

function timeIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const time = Date.parse(text);
  if (!Number.isNaN(time)) return time;
  throw wrong(name, "must be a time such as 2026-11-30T00:00:00Z");
}

function wrong(param: string, message: string): GatewayError {
  return new GatewayError("invalid_request", `${param} ${message}`, { param });
}

function raise(error: GatewayError): never {
  throw error;
}

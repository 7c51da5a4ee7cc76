import { isJsonObject, numberField, stringField } from "../../../src/protocol/json/json.ts";
import type { Plan } from "../../../src/engine-sim/generation.ts";
import { askPort, kvAddress } from "./kv-port.ts";
import { promptHash } from "./leg-prompts.ts";
import { demand, PdError } from "./pd-error.ts";
import { type Leg, type LegRequest, type PdContext, type PdProtocol, planned } from "./pd-protocol.ts";
import { movedRun } from "./vllm-decode.ts";
import { demandPrefillBody } from "./vllm-prefill.ts";

const REQUEST_ID = /^___prefill_addr_(.+):(\d+)___decode_addr_(.+):(\d+)_(\w+)$/;

/**
 * P2pNcclConnector of older vLLM: `X-Request-Id`, the same for both legs, holds both engines' addresses, and the prefill
 * engine pushes its KV to the decode engine's. Each sequence has a name that begins with its number and holds that id, so
 * that legs with equal sequences find all of them.
 */
export function p2pNcclProtocol(context: PdContext): PdProtocol {
  return {
    keys: ({ request }) => [request.headers["x-request-id"] ?? ""],
    prefill: async (leg) => prefill(context, leg),
    decode: (leg) => decode(context, leg),
    kvRoutes: { "/kv/push": (request) => takeIn(context, request) },
  };
}

function readRequestId({ request }: LegRequest): { key: string; prefill: string; decode: string } {
  const key = request.headers["x-request-id"] ?? "";
  const match = REQUEST_ID.exec(key);
  demand(match !== null, `Request id ${key} does not contain hostname and port`);
  const [, prefillHost = "", prefillPort = "", decodeHost = "", decodePort = ""] = match;
  return {
    key,
    prefill: kvAddress(prefillHost, Number(prefillPort)),
    decode: kvAddress(decodeHost, Number(decodePort)),
  };
}

function prefill(context: PdContext, leg: LegRequest): Leg {
  demandPrefillBody(leg);
  const { key, prefill: own, decode: other } = readRequestId(leg);
  demand(own === context.address(), `the prefill address ${own} is not this engine's ${context.address()}`);
  demand(context.store.claim(key), `request id ${key} was used before`);
  const plans: Plan[] = [];
  return {
    run: (run) =>
      planned(run, (plan) => {
        plans.push(plan);
        return plan;
      }),
    leave: async (response) => {
      if (!response.ok || plans.length === 0) return response;
      const tokens = plans.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
      const kv = { key, prompt: promptHash(leg.prompts), tokens };
      const answer = await askPort(context, other, "/kv/push", kv, leg.request.signal);
      if (answer["ok"] !== true) throw new PdError(500, "kv", `the KV of ${key} was not taken in at ${other}`);
      return response;
    },
  };
}

async function takeIn({ store }: PdContext, request: Request): Promise<Response> {
  const pushed: unknown = await request.json();
  if (!isJsonObject(pushed)) return Response.json({ ok: false });
  const kv = {
    prompt: stringField(pushed, "prompt") ?? "",
    tokens: numberField(pushed, "tokens") ?? 0,
    cachedTokens: 0,
    rank: 0,
    agreed: {},
  };
  store.publish(stringField(pushed, "key") ?? "", kv);
  return Response.json({ ok: true });
}

async function decode(context: PdContext, leg: LegRequest): Promise<Leg> {
  const { store, journal, waitMs } = context;
  const { key, prefill: other, decode: own } = readRequestId(leg);
  demand(own === context.address(), `the decode address ${own} is not this engine's ${context.address()}`);
  demand(store.claim(key), `request id ${key} was used before`);
  const found = await store.find(key, waitMs, leg.request.signal);
  if ("news" in found) {
    if (found.news === "aborted") throw new PdError(500, "aborted", "the client went");
    const isKnown = journal.announced("prefill", key).has(other);
    throw new PdError(500, isKnown ? "kv" : "violation", `no KV for ${key} came from ${other}: ${found.news}`);
  }
  demand(found.kv.prompt === promptHash(leg.prompts), "the prompt is not the one that was prefilled");
  store.take(key);
  return movedRun(context);
}

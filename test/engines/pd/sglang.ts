import type { JsonObject } from "../../../src/protocol/json/json.ts";
import type { Plan } from "../../../src/engine-sim/generation.ts";
import { askPort, fetchKv, kvAddress } from "./kv-port.ts";
import { promptHash } from "./leg-prompts.ts";
import { demand, PdError } from "./pd-error.ts";
import { type Leg, type LegRequest, type PdContext, type PdProtocol, planned } from "./pd-protocol.ts";

/** Port that a decode engine takes where a request names none: its own argument's default. */
const DEFAULT_BOOTSTRAP_PORT = 8998n;
const ROOM_END = 2n ** 63n;

interface Bootstrap {
  readonly address: string;
  readonly room: bigint;
}

/**
 * SGLang: both legs get the same `bootstrap_host`, `bootstrap_port` and `bootstrap_room` at the same time. The decode
 * engine asks at the bootstrap port for the room; only then is the prefill engine done.
 */
export function sglangProtocol(context: PdContext): PdProtocol {
  return {
    keys: ({ exact }) => list(exact["bootstrap_room"]).map(String),
    prefill: async (leg) => prefill(context, leg),
    decode: (leg) => decode(context, leg),
    kvRoutes: {
      "/health": () => new Response("OK"),
      "/route": () =>
        Response.json({
          attn_tp_size: 1,
          attn_cp_size: 1,
          dp_size: context.dpSize,
          pp_size: 1,
          page_size: 64,
          follow_bootstrap_room: context.followsRoom,
        }),
    },
  };
}

function prefill(context: PdContext, leg: LegRequest): Leg {
  const { store, waitMs, journal } = context;
  const { signal } = leg.request;
  const bootstraps = readBootstraps(leg, BigInt(context.address().split(":")[1] ?? ""));
  const ranks = bootstraps.map(({ room }) => prefillRank(context, leg.exact, room));
  for (const { address } of bootstraps) {
    demand(address === context.address(), `bootstrap ${address} is not this engine's ${context.address()}`);
  }
  const keys = claimRooms(context, bootstraps);
  const handOver = async (index: number, plan: Plan): Promise<void> => {
    const key = keys[index] ?? "";
    const { promptTokens: tokens, cachedTokens } = plan;
    const prompt = promptHash(leg.prompts.slice(index, index + 1));
    store.publish(key, { prompt, tokens, cachedTokens, rank: ranks[index] ?? 0, agreed: {} });
    const news = await store.whenTaken(key, waitMs, signal);
    if (news === "taken") return;
    if (news === "aborted") throw new PdError(500, "aborted", "the client went");
    const isAlone = news === "timeout" && journal.announced("decode", key).size === 0;
    throw isAlone
      ? new PdError(500, "violation", `no decode engine was sent room ${key}: both legs go out at the same time`)
      : new PdError(500, "kv", `the KV of room ${key} was not fetched: ${news}`);
  };
  const plans: Plan[] = [];
  return {
    run: (run) => ({
      ...planned(run, (plan) => {
        const short: Plan = { ...plan, tokens: plan.tokens.slice(0, 1), finishReason: "length" };
        plans.push(short);
        return short;
      }),
      async *tokens(plan) {
        for await (const token of run.tokens(plan)) {
          await handOver(plans.indexOf(plan), plan);
          yield token;
        }
      },
    }),
    // Answers that need no tokens, such as calls of tools, are held back by this alone.
    leave: async (response) => {
      await Promise.all(plans.map(async (plan, index) => handOver(index, plan)));
      return response;
    },
    abandon: () => {
      for (const key of keys) store.drop(key);
    },
  };
}

async function decode(context: PdContext, leg: LegRequest): Promise<Leg> {
  const own = ownRank(leg.exact);
  demand(own === undefined || own < context.dpSize, `routed_dp_rank ${own} is not below dp_size ${context.dpSize}`);
  const bootstraps = readBootstraps(leg, DEFAULT_BOOTSTRAP_PORT);
  claimRooms(context, bootstraps);
  const others = new AbortController();
  const signal = AbortSignal.any([leg.request.signal, others.signal]);
  try {
    const kvs = await Promise.all(
      bootstraps.map(async ({ address, room }, index) => {
        const rank = await rankOfPrefill(context, leg.exact, address, room, signal);
        const prompt = promptHash(leg.prompts.slice(index, index + 1));
        return fetchKv(context, address, { key: room.toString(), prompt, rank }, signal);
      }),
    );
    for (const { tokens } of kvs) context.record.kvTokens += tokens;
    context.record.kvTransfers += kvs.length;
    return {
      run: (run) => ({
        ...planned(run, (plan, index) => ({
          ...plan,
          movedTokens: plan.promptTokens,
          // The prefill engine sends along what it had in its cache.
          cachedTokens: kvs[index]?.cachedTokens ?? 0,
        })),
        hasPrompt: false,
      }),
    };
  } finally {
    others.abort();
  }
}

/** Where each sequence's KV is handed over; an engine fills in the port that it was started with. */
function readBootstraps({ exact, prompts }: LegRequest, defaultPort: bigint): readonly Bootstrap[] {
  const { bootstrap_room: room, bootstrap_host: host, bootstrap_port: port } = exact;
  demand(room !== undefined && room !== null, "Disaggregated request received without bootstrap room id.");
  demand(host !== undefined && host !== null, "bootstrap_host is missing");
  for (const [name, value] of Object.entries({ bootstrap_room: room, bootstrap_host: host, bootstrap_port: port })) {
    if (prompts.length === 1 && !Array.isArray(value)) continue;
    demand(Array.isArray(value), `${name} must be a list: the request makes ${prompts.length} sequences`);
    demand(value.length === prompts.length, `${name} has ${value.length} items for ${prompts.length} sequences`);
  }
  const bootstraps = list(room).map((item, index) =>
    readBootstrap(item, list(host)[index], list(port)[index] ?? defaultPort),
  );
  const rooms = new Set(bootstraps.map((bootstrap) => bootstrap.room));
  demand(rooms.size === bootstraps.length, "the rooms of a batch must differ");
  return bootstraps;
}

function readBootstrap(room: unknown, host: unknown, port: unknown): Bootstrap {
  demand(typeof room === "bigint", "bootstrap_room must be an integer");
  demand(room >= 0n && room < ROOM_END, `bootstrap_room ${room} does not fit 63 bits`);
  demand(typeof host === "string" && host !== "", "bootstrap_host must be a string");
  demand(typeof port === "bigint" && port > 0n && port < 65_536n, "bootstrap_port must be a port or null");
  return { address: kvAddress(host, port), room };
}

function claimRooms({ store }: PdContext, bootstraps: readonly Bootstrap[]): readonly string[] {
  const keys = bootstraps.map(({ room }) => room.toString());
  for (const key of keys) demand(store.claim(key), `bootstrap_room ${key} was used before`);
  return keys;
}

/** The data-parallel rank that the router chose for this leg. */
function ownRank(exact: JsonObject): number | undefined {
  const rank = exact["routed_dp_rank"] ?? exact["data_parallel_rank"];
  if (rank === undefined || rank === null) return undefined;
  demand(typeof rank === "bigint" && rank >= 0n, "routed_dp_rank must be a whole number");
  return Number(rank);
}

/** The rank that computes: with `follow_bootstrap_room` the sender checks that it is the room's. */
function prefillRank({ dpSize, followsRoom }: PdContext, exact: JsonObject, room: bigint): number {
  const chosen = ownRank(exact);
  demand(chosen === undefined || chosen < dpSize, `routed_dp_rank ${chosen} is not below dp_size ${dpSize}`);
  const ofRoom = Number(room % BigInt(dpSize));
  if (followsRoom && chosen !== undefined) {
    demand(chosen === ofRoom, `routed_dp_rank ${chosen} is not bootstrap_room % dp_size, which is ${ofRoom}`);
  }
  return chosen ?? ofRoom;
}

/** The rank that a decode engine asks; undefined where the prefill engine alone knows. */
async function rankOfPrefill(
  context: PdContext,
  exact: JsonObject,
  address: string,
  room: bigint,
  signal: AbortSignal,
): Promise<number | undefined> {
  const route = await askPort(context, address, "/route", undefined, signal);
  const dpSize = typeof route["dp_size"] === "number" ? route["dp_size"] : 1;
  const told = exact["disagg_prefill_dp_rank"];
  if (told === undefined || told === null) {
    return dpSize === 1 || route["follow_bootstrap_room"] === true ? Number(room % BigInt(dpSize)) : undefined;
  }
  demand(typeof told === "bigint" && told >= 0n, "disagg_prefill_dp_rank must be a whole number");
  demand(told < BigInt(dpSize), `disagg_prefill_dp_rank ${told} is not below the prefill engine's dp_size ${dpSize}`);
  return Number(told);
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

import { type EngineModel, LAB_ENGINE, V1_ENGINE } from "../engine-models.ts";
import { Draw } from "./draw.ts";
import type { Fault, Load, Slo, WorkerSpec } from "./load.ts";
import {
  agents,
  chat,
  heavyTail,
  hotShift,
  longChat,
  rag,
  type SessionKind,
  siblings,
  SIBLINGS_PER_SECOND,
  toolAgents,
  unique,
} from "./session-kinds.ts";

/** How large a load is made. */
export interface LoadOptions {
  readonly seed: number;
  /** Time in which requests arrive, s. */
  readonly durationSecs: number;
  /** Time at the beginning that does not count, s; a quarter of the duration by default, at most a minute. */
  readonly warmupSecs?: number | undefined;
  /** Requests as a multiple of the load's own rate; 1 by default. */
  readonly rate?: number;
  /** Size of the fleet, 8 by default. The load grows with it. */
  readonly workers?: number;
}

/** A load by its name. */
export interface LoadRow {
  readonly name: string;
  /** What it is like, as a line that continues the name. */
  readonly describes: string;
  create(options: LoadOptions): Load;
}

/** A load as it is written down below. */
interface LoadPlan {
  readonly sessions: SessionKind;
  /** Sessions that begin, each second, with the usual fleet. */
  readonly perSecond: number;
  readonly engine: EngineModel;
  readonly kvTokens: number;
  readonly slo: Slo;
  /** What differs at the worker of this number in a fleet of so many. */
  readonly worker?: (worker: number, workers: number, durationMs: number) => Partial<WorkerSpec>;
  readonly faults?: (durationMs: number) => readonly Fault[];
}

/** Workers that the rates are for. */
const USUAL_WORKERS = 8;

/** Time that caches and learned rates are given, ms. */
function warmupMsOf({ durationSecs, warmupSecs }: Pick<LoadOptions, "durationSecs" | "warmupSecs">): number {
  return 1000 * (warmupSecs ?? Math.min(60, durationSecs / 4));
}

function load(name: string, describes: string, plan: LoadPlan): LoadRow {
  return {
    name,
    describes,
    create: (options) => {
      const { seed, durationSecs, rate = 1, workers = USUAL_WORKERS } = options;
      const durationMs = durationSecs * 1000;
      const perSecond = plan.perSecond * rate * (workers / USUAL_WORKERS);
      const draw = new Draw(seed, name);
      draw.expect(perSecond * durationSecs);
      const usual = { engine: plan.engine, kvTokens: plan.kvTokens, slowness: 1, joinsAtMs: 0 };
      return {
        name,
        workers: Array.from({ length: workers }, (_, index) => ({
          ...usual,
          ...plan.worker?.(index, workers, durationMs),
        })),
        sessions: plan.sessions(draw, perSecond, durationMs),
        faults: plan.faults?.(durationMs) ?? [],
        slo: plan.slo,
        durationMs,
        warmupMs: warmupMsOf(options),
      };
    },
  };
}

const LAB = { engine: LAB_ENGINE, kvTokens: 120_000, slo: { ttftMs: 1000, tpotMs: 60 } };
/** Memory of a large accelerator. */
const V1 = { engine: V1_ENGINE, kvTokens: 307_200, slo: { ttftMs: 2000, tpotMs: 100 } };
/** With a tier of host memory ten times as large; blocks in it are found like others. */
const V1_HOST = { ...V1, kvTokens: 3_072_000 };

const CHAT = { ...LAB, sessions: chat, perSecond: 4 };
const AGENT = { ...LAB, sessions: agents, perSecond: 1.6 };
const LONG_CHAT = { ...V1, sessions: longChat, perSecond: 3.7 };
const firstIsSlow = (worker: number): Partial<WorkerSpec> => (worker === 0 ? { slowness: 3 } : {});

/** All loads that need no file. */
export const LOADS: readonly LoadRow[] = [
  load("chat", "conversations under a few shared system prompts", CHAT),
  load("agent", "agents that call tools: many turns, short pauses, long prompts", AGENT),
  load("rag", "questions about documents, of which some are popular", { ...LAB, sessions: rag, perSecond: 9 }),
  load("unique", "prompts that share nothing", { ...LAB, sessions: unique, perSecond: 8.4 }),
  load("chatslow3", "chat, and one worker is three times slower", { ...CHAT, worker: firstIsSlow }),
  load("agentslow3", "agent, and one worker is three times slower", { ...AGENT, worker: firstIsSlow }),
  load("siblings", "chat, and every 4 s twenty requests at once that share a new prefix of 20,000 tokens", {
    ...V1,
    sessions: siblings,
    perSecond: SIBLINGS_PER_SECOND,
    slo: { ttftMs: 3000, tpotMs: 100 },
  }),
  load("toolagents", "agents with contexts of 30,000 to 150,000 tokens", {
    ...V1_HOST,
    engine: { ...V1_ENGINE, blockTokens: 64 },
    sessions: toolAgents,
    perSecond: 0.26,
  }),
  load("heavytail", "prompts that share nothing, some of them of up to 100,000 tokens", {
    ...V1,
    sessions: heavyTail,
    perSecond: 10,
  }),
  load("hetero", "long conversations; half the workers are 2.5 times slower and have half the memory", {
    ...LONG_CHAT,
    perSecond: 2.8,
    worker: (worker) => (worker % 2 === 1 ? { slowness: 2.5, kvTokens: V1.kvTokens / 2 } : {}),
  }),
  load("join", "long conversations; one worker joins with an empty cache after a third of the time", {
    ...LONG_CHAT,
    worker: (worker, workers, durationMs) => (worker === workers - 1 ? { joinsAtMs: durationMs / 3 } : {}),
  }),
  load("die", "long conversations; one worker dies after a third of the time", {
    ...LONG_CHAT,
    faults: (durationMs) => [{ kind: "die", atMs: durationMs / 3, worker: 0 }],
  }),
  load("hotshift", "most questions are about one long document, which changes every minute", {
    ...V1,
    sessions: hotShift,
    perSecond: 11.5,
  }),
  load("freeze", "long conversations; one worker twice does nothing for 6 s", {
    ...LONG_CHAT,
    faults: (durationMs) =>
      [0.4, 0.7].map((share) => ({ kind: "freeze", atMs: share * durationMs, worker: 0, ms: 6000 })),
  }),
  load("throttle", "long conversations; one worker is three times slower for a minute", {
    ...LONG_CHAT,
    faults: (durationMs) => [
      { kind: "slow", atMs: 0.4 * durationMs, worker: 0, slowness: 3 },
      { kind: "slow", atMs: 0.4 * durationMs + 60_000, worker: 0, slowness: 1 },
    ],
  }),
  load("restart", "long conversations; one worker restarts with an empty cache after a third of the time", {
    ...LONG_CHAT,
    faults: (durationMs) => [{ kind: "restart", atMs: durationMs / 3, worker: 0 }],
  }),
];

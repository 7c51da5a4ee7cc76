import { LAB_ENGINE } from "../engine-models.ts";
import { Draw } from "./draw.ts";
import { agentSessions, chatSessions, ragSessions, uniqueSessions } from "./lab-loads.ts";
import type { Load, Session, WorkerSpec } from "./load.ts";

/** How large a load is made. */
export interface LoadOptions {
  readonly seed: number;
  /** Time in which requests arrive, s. */
  readonly durationSecs: number;
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

/** Workers that the rates below are for. */
const USUAL_WORKERS = 8;
/** Share of the time that warms caches and rates up and does not count. */
const WARMUP_SHARE = 0.25;
const LAB_KV_TOKENS = 120_000;
const LAB_SLO = { ttftMs: 1000, tpotMs: 60 };

type Sessions = (draw: Draw, perSecond: number, untilMs: number) => Session[];

function labLoad(name: string, describes: string, perSecond: number, sessions: Sessions): LoadRow {
  const spec: WorkerSpec = { engine: LAB_ENGINE, kvTokens: LAB_KV_TOKENS, slowness: 1, joinsAtMs: 0 };
  return {
    name,
    describes,
    create: ({ seed, durationSecs, rate = 1, workers = USUAL_WORKERS }) => {
      const durationMs = durationSecs * 1000;
      return {
        name,
        workers: Array.from({ length: workers }, () => spec),
        sessions: sessions(new Draw(seed, name), perSecond * rate * (workers / USUAL_WORKERS), durationMs),
        faults: [],
        slo: LAB_SLO,
        durationMs,
        warmupMs: durationMs * WARMUP_SHARE,
      };
    },
  };
}

/** All loads that need no file. */
export const LOADS: readonly LoadRow[] = [
  labLoad("chat", "conversations under a few shared system prompts", 4, chatSessions),
  labLoad("agent", "agents that call tools: many turns, short pauses, long prompts", 1.6, agentSessions),
  labLoad("rag", "questions about documents, of which some are popular", 9, ragSessions),
  labLoad("unique", "prompts that share nothing", 8.4, uniqueSessions),
];

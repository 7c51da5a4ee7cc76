import { askAdministration, type Question, RefusedError } from "./ask-administration.ts";
import { isRecord } from "../util/objects.ts";
import { ConfigError } from "../config/config-error.ts";
import { jsonText, PROCESS } from "./command-output.ts";
import { textTable } from "./text-table.ts";
import { stateOf, viewsOf, type WorkerView as View } from "./worker-views.ts";
import type { WorkersArguments } from "./workers-commands.ts";

/** What the commands need of the process; tests pass a fake. */
export interface WorkersTools {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Asks the gateway. Throws RefusedError where it refuses, and ConfigError where it cannot be reached. */
  readonly ask: (question: Question) => Promise<Readonly<Record<string, unknown>>>;
  /** Time since an arbitrary start, ms. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Exit codes: the command did what it says, or its wait has ended before. */
const DONE = 0;
const STILL_BUSY = 1;

/** Time between two looks at a worker that drains, ms. */
const LOOK_MS = 500;

/**
 * `pointsman workers`: asks a running gateway over its administration. Resolves with the exit code: 1 where a worker still had requests at the
 * end of the wait, or was uncordoned by somebody else. Throws ConfigError where the gateway refuses, or cannot be reached.
 */
export async function workers(given: WorkersArguments, tools: WorkersTools = toolsOf(given)): Promise<number> {
  if (given.command !== "list" && given.worker === "")
    throw new ConfigError(given.command, "name the worker by its id or url");
  const path = `/workers/${encodeURIComponent(given.worker)}`;
  switch (given.command) {
    case "list":
      return list(given, tools);
    case "cordon":
    case "uncordon":
      return show(given, tools, await tools.ask({ method: "POST", path: `${path}/${given.command}` }));
    case "drain":
      return drain(given, tools, await tools.ask({ method: "POST", path: `${path}/cordon` }));
    case "remove":
      return remove(given, tools, await tools.ask({ method: "DELETE", path }));
  }
}

function toolsOf({ gateway }: WorkersArguments): WorkersTools {
  return {
    ...PROCESS,
    ask: (question) => askAdministration(gateway, PROCESS.env, question),
    now: () => performance.now(),
    sleep: (ms) => Bun.sleep(ms),
  };
}

async function list({ model, isJson }: WorkersArguments, { ask, out }: WorkersTools): Promise<number> {
  const query = model === undefined ? "" : `?model=${encodeURIComponent(model)}`;
  const answer = await ask({ method: "GET", path: `/workers${query}` });
  out(isJson ? jsonText(answer) : workersTable(viewsOf(answer)));
  return DONE;
}

async function drain(given: WorkersArguments, tools: WorkersTools, cordoned: View): Promise<number> {
  const last = await watch(given, tools, (view) => loadOf(view) === 0 || !isCordoned(view));
  if (last === "late") {
    tools.err("pointsman: the wait is over; the worker stays cordoned, and its requests go on\n");
    return STILL_BUSY;
  }
  if (last && !isCordoned(last)) {
    tools.err("pointsman: the worker was uncordoned meanwhile, and takes requests again\n");
    return STILL_BUSY;
  }
  return show(given, tools, last ?? { ...cordoned, status: "removed", load: 0 });
}

async function remove(given: WorkersArguments, tools: WorkersTools, taken: View): Promise<number> {
  // A worker that is there and does not drain has been added anew.
  const last = await watch(given, tools, (view) => view["status"] !== "draining");
  if (last === "late") {
    tools.err("pointsman: the wait is over; the gateway goes on draining the worker, and removes it then\n");
    return STILL_BUSY;
  }
  const removed = { status: "removed", worker_id: taken["worker_id"], url: taken["url"] };
  tools.out(given.isJson ? jsonText(removed) : `${said(taken["url"])} is removed\n`);
  return DONE;
}

/** Tells each change of the requests in flight, until they are over, the worker is gone (undefined), or the time is up (late). */
async function watch(
  { worker, timeoutSecs }: WorkersArguments,
  { ask, err, now, sleep }: WorkersTools,
  isOver: (view: View) => boolean,
): Promise<View | "late" | undefined> {
  const end = now() + timeoutSecs * 1000;
  let told: number | undefined;
  for (;;) {
    const view = await look(ask, worker);
    if (view === undefined || isOver(view)) return view;
    const load = loadOf(view);
    if (load !== told) err(`pointsman: ${said(view["url"])} has ${load} in flight\n`);
    told = load;
    const left = end - now();
    if (left <= 0) return "late";
    await sleep(Math.min(LOOK_MS, left));
  }
}

/** The worker, or the ranks of an address as one; undefined where there is none. */
async function look(ask: WorkersTools["ask"], name: string): Promise<View | undefined> {
  try {
    return await ask({ method: "GET", path: `/workers/${encodeURIComponent(name)}` });
  } catch (error) {
    if (error instanceof RefusedError && error.code === "worker_not_found") return undefined;
    throw error;
  }
}

function show({ isJson }: WorkersArguments, { out }: WorkersTools, view: View): number {
  out(isJson ? jsonText(view) : workersTable([view]));
  return DONE;
}

/** The column with the reasons is there where a worker gets no requests. */
function workersTable(views: readonly View[]): string {
  const head = ["URL", "STATE", "IN FLIGHT", "MODELS", "TYPE", "ENGINE", "SOURCE", "ID"];
  if (views.some((view) => whyNot(view) !== "")) head.push("WHY");
  const rows = views.map((view) => [
    said(view["url"]),
    stateOf(view),
    String(loadOf(view)),
    said(view["models"]),
    said(view["worker_type"]),
    said(view["runtime_type"]),
    said(view["source"]),
    said(view["id"]),
    whyNot(view),
  ]);
  return textTable([head, ...rows]);
}

/** Why the worker gets no requests, in the gateway's words, on one line; empty where it gets some. */
function whyNot({ is_healthy: isHealthy, last_error: error }: View): string {
  if (isHealthy !== false || !isRecord(error) || typeof error["message"] !== "string") return "";
  return error["message"].replaceAll(/\p{Cc}+/gu, " ");
}

function isCordoned(view: View): boolean {
  return view["cordoned"] === true;
}

function loadOf(view: View): number {
  return typeof view["load"] === "number" ? view["load"] : 0;
}

function said(value: unknown): string {
  if (Array.isArray(value)) return value.map(said).join(",") || "-";
  return typeof value === "string" && value !== "" ? value : "-";
}

import { ConfigError } from "../config/config-error.ts";
import { askAdministration, pageOf } from "./ask-administration.ts";
import { jsonText } from "./command-output.ts";
import { ratesBetween, type Sample, sampleOf, type WorkerRates } from "./fleet-samples.ts";
import { Keyboard, LEAVES } from "./keyboard.ts";
import { textTable } from "./text-table.ts";
import type { TopArguments } from "./top-command.ts";

/** What the command needs of the process; tests pass a fake. */
export interface TopTools {
  readonly out: (text: string) => void;
  /** A look at the gateway. Throws ConfigError where it refuses, or cannot be reached. */
  readonly look: () => Promise<Sample>;
  readonly sleep: (ms: number) => Promise<void>;
  /** Keys that were pressed since the last call, in order; undefined: the program is to end. */
  readonly keys: () => string | undefined;
  /** Size of the terminal; undefined where the output is none. */
  readonly size: () => { readonly columns: number; readonly rows: number } | undefined;
}

/** Rates are over the last looks, of so many seconds. */
const WINDOW_SECS = 10;
const DONE = 0;

/** What the table is sorted by, with the key that chooses it. */
const ORDERS: readonly (readonly [key: string, name: string, of: (row: WorkerRates) => number | string])[] = [
  ["u", "url", ({ url }) => url],
  ["f", "in flight", ({ inFlight }) => -inFlight],
  ["r", "requests", ({ requests = 0 }) => -requests],
  ["t", "TTFT p95", ({ ttftP95 = 0 }) => -ttftP95],
  ["e", "errors", ({ failedShare = 0 }) => -failedShare],
];

/** Clears the screen and goes to its corner; the other screen of the terminal, on and off. */
const CLEAR = "\u001b[H\u001b[2J";
const OTHER_SCREEN = { on: "\u001b[?1049h\u001b[?25l", off: "\u001b[?25h\u001b[?1049l" };

/**
 * `pointsman top`: the workers of a running gateway, with what they do, anew each second. With `--once`, `--json` or where the output is no
 * terminal, once. Resolves with the exit code. Throws ConfigError where the gateway refuses, or cannot be reached at first.
 */
export async function top(given: TopArguments, tools: TopTools = toolsOf(given)): Promise<number> {
  const samples = [await tools.look()];
  if (given.isOnce || given.isJson || tools.size() === undefined) return once(given, tools, samples);
  tools.out(OTHER_SCREEN.on);
  try {
    await refresh(given, tools, samples);
  } finally {
    tools.out(OTHER_SCREEN.off);
  }
  return DONE;
}

async function once({ intervalSecs, isJson }: TopArguments, tools: TopTools, samples: Sample[]): Promise<number> {
  await tools.sleep(intervalSecs * 1000);
  const [before] = samples;
  const after = await tools.look();
  const rows = ratesBetween(before ?? after, after);
  tools.out(isJson ? jsonText(rows.map(jsonOf)) : tableOf(rows));
  return DONE;
}

async function refresh({ intervalSecs }: TopArguments, tools: TopTools, samples: Sample[]): Promise<void> {
  let order = 0;
  let trouble = "";
  for (;;) {
    const [before] = samples;
    const after = samples.at(-1);
    if (before && after) tools.out(CLEAR + screen(ratesBetween(before, after), order, trouble, tools.size()));
    await tools.sleep(intervalSecs * 1000);
    const pressed = tools.keys();
    if (pressed === undefined || LEAVES.some((key) => pressed.includes(key))) return;
    for (const key of pressed) {
      const chosen = ORDERS.findIndex(([name]) => name === key);
      if (chosen >= 0) order = chosen;
    }
    try {
      samples.push(await tools.look());
      trouble = "";
    } catch (error) {
      // A gateway that restarts comes back.
      if (!(error instanceof ConfigError)) throw error;
      trouble = error.message;
    }
    while (samples.length > Math.max(2, Math.ceil(WINDOW_SECS / intervalSecs))) samples.shift();
  }
}

/** The whole picture, cut to the terminal. */
export function screen(
  rows: readonly WorkerRates[],
  order: number,
  trouble: string,
  size: { readonly columns: number; readonly rows: number } | undefined,
): string {
  const [, name, of] = ORDERS[order] ?? ["", "url", ({ url }: WorkerRates) => url];
  const sorted = rows.toSorted((one, other) => compare(of(one), of(other)) || compare(one.url, other.url));
  const sum = (value: (row: WorkerRates) => number | undefined): string =>
    value1(rows.reduce((total, row) => total + (value(row) ?? 0), 0));
  const head = `pointsman top   workers ${rows.length}   in flight ${sum((row) => row.inFlight)}   requests/s ${sum((row) => row.requests)}   tokens/s ${sum((row) => row.tokens)}`;
  const keys = `sorted by ${name}   ${ORDERS.map(([key, what]) => `${key} ${what}`).join("   ")}   q quit`;
  const lines = [head, trouble, ...tableOf(sorted).trimEnd().split("\n")];
  const { columns = 120, rows: height = 40 } = size ?? {};
  return [...lines.slice(0, height - 1), keys].map((line) => line.slice(0, columns)).join("\n");
}

function compare(one: number | string, other: number | string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function tableOf(rows: readonly WorkerRates[]): string {
  const head = [
    "WORKER",
    "STATE",
    "IN FLIGHT",
    "PENDING",
    "REQ/S",
    "TOK/S",
    "TTFT P50",
    "P95",
    "CACHED",
    "FAILED",
    "MODELS",
  ];
  return textTable([
    head,
    ...rows.map((row) => [
      row.url,
      row.state,
      String(row.inFlight),
      String(row.pendingTokens),
      value1(row.requests),
      value1(row.tokens),
      seconds(row.ttftP50),
      seconds(row.ttftP95),
      percent(row.cachedShare),
      percent(row.failedShare),
      row.models.join(",") || "-",
    ]),
  ]);
}

/** A row for programs: rates a second, times in seconds, shares from 0 to 1; null where nothing happened that could be measured. */
function jsonOf(row: WorkerRates): Readonly<Record<string, unknown>> {
  return {
    url: row.url,
    state: row.state,
    in_flight: row.inFlight,
    pending_tokens: row.pendingTokens,
    requests_per_second: row.requests ?? null,
    tokens_per_second: row.tokens ?? null,
    ttft_p50_secs: row.ttftP50 ?? null,
    ttft_p95_secs: row.ttftP95 ?? null,
    cached_share: row.cachedShare ?? null,
    failed_share: row.failedShare ?? null,
    models: row.models,
  };
}

function value1(value: number | undefined): string {
  if (value === undefined) return "-";
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}

function seconds(value: number | undefined): string {
  if (value === undefined) return "-";
  return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(1)} s`;
}

function percent(value: number | undefined): string {
  return value === undefined ? "-" : `${(value * 100).toFixed(0)} %`;
}

function toolsOf({ gateway, metricsUrl }: TopArguments): TopTools {
  const { stdout } = process;
  const keyboard = stdout.isTTY ? new Keyboard() : undefined;
  return {
    out: (text) => stdout.write(text),
    async look() {
      const workers = await askAdministration(gateway, process.env, { method: "GET", path: "/workers" });
      const page = await pageOf(metricsUrl ?? new URL("/metrics", gateway.url).href, gateway.caFile);
      return sampleOf(performance.now(), workers, page);
    },
    sleep: (ms) => keyboard?.sleep(ms) ?? Bun.sleep(ms),
    keys: () => keyboard?.take(),
    // A terminal that does not know its size says 0.
    size: () => (stdout.isTTY ? { columns: stdout.columns || 120, rows: stdout.rows || 40 } : undefined),
  };
}

import { METRICS } from "../src/observability/metrics-table.ts";

/** Names of metrics and expressions over them, as Prometheus reads them. A name that the table does not have is an error of types. */

type Metric = keyof typeof METRICS;

function name(metric: Metric): string {
  return METRICS[metric].name;
}

/** What is chosen of a metric: the dashboard's variables, or nothing. */
const CHOSEN = '{job=~"$job"}';

function rate(metric: Metric, by: string, filter = CHOSEN): string {
  return `sum by (${by}) (rate(${name(metric)}${filter}[$__rate_interval]))`;
}

function quantile(share: number, metric: Metric, by: string): string {
  return `histogram_quantile(${share}, sum by (le, ${by}) (rate(${name(metric)}_bucket${CHOSEN}[$__rate_interval])))`;
}

function sum(metric: Metric, by: string): string {
  return `sum by (${by}) (${name(metric)}${CHOSEN})`;
}

export interface Panel {
  readonly title: string;
  /** Grafana's name of the unit. */
  readonly unit: string;
  readonly about: string;
  /** An expression, and how its lines are called. */
  readonly lines: readonly (readonly [expression: string, legend: string])[];
}

/** The rows of the dashboard, each with its panels. */
export const ROWS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    "What clients get",
    [
      {
        title: "Requests",
        unit: "reqps",
        about: "Answers a second, by status.",
        lines: [[rate("requests", "status"), "{{status}}"]],
      },
      {
        title: "Errors",
        unit: "reqps",
        about: "Errors a second, by code. docs/errors.md says what each means.",
        lines: [[rate("errors", "code"), "{{code}}"]],
      },
      {
        title: "Time to first token",
        unit: "s",
        about: "Streams: from the request's head to the first event.",
        lines: [
          [quantile(0.5, "timeToFirstToken", "model"), "p50 {{model}}"],
          [quantile(0.95, "timeToFirstToken", "model"), "p95 {{model}}"],
          [quantile(0.99, "timeToFirstToken", "model"), "p99 {{model}}"],
        ],
      },
      {
        title: "Time per output token",
        unit: "s",
        about: "Streams: between the tokens after the first.",
        lines: [
          [quantile(0.5, "timePerOutputToken", "model"), "p50 {{model}}"],
          [quantile(0.95, "timePerOutputToken", "model"), "p95 {{model}}"],
        ],
      },
      {
        title: "Whole requests",
        unit: "s",
        about: "From the head of the request to the last byte of the answer.",
        lines: [[quantile(0.95, "duration", "endpoint"), "p95 {{endpoint}}"]],
      },
      {
        title: "Tokens",
        unit: "short",
        about: "Tokens a second: of prompts, of these cached, and of answers.",
        lines: [
          [rate("promptTokens", "model"), "prompt {{model}}"],
          [rate("cachedTokens", "model"), "cached {{model}}"],
          [rate("completionTokens", "model"), "answer {{model}}"],
        ],
      },
    ],
  ],
  [
    "Workers",
    [
      {
        title: "Taking requests",
        unit: "short",
        about: "1 while the worker takes requests.",
        lines: [[`min by (worker) (${name("workerUp")}${CHOSEN})`, "{{worker}}"]],
      },
      {
        title: "Out, and why",
        unit: "short",
        about: "Ready workers that get no requests, by reason (docs/failing-workers.md).",
        lines: [[sum("workersOut", "worker, reason"), "{{worker}} {{reason}}"]],
      },
      {
        title: "In flight",
        unit: "short",
        about: "Requests in flight, by worker.",
        lines: [[sum("inFlight", "worker"), "{{worker}}"]],
      },
      {
        title: "Attempts",
        unit: "reqps",
        about: "Attempts a second, by outcome.",
        lines: [[rate("attempts", "worker, outcome"), "{{worker}} {{outcome}}"]],
      },
      {
        title: "Time to first token by worker",
        unit: "s",
        about: "p95.",
        lines: [[quantile(0.95, "timeToFirstToken", "worker"), "{{worker}}"]],
      },
      {
        title: "Ejections",
        unit: "short",
        about: "Workers that were taken out, a second.",
        lines: [[rate("ejections", "worker, reason"), "{{worker}} {{reason}}"]],
      },
      {
        title: "Silence of the sources",
        unit: "s",
        about:
          "Time since a source of workers (DNS, Kubernetes) last said that its workers are so. An API server says so every five minutes at least.",
        lines: [[`time() - min by (source) (${name("sourceHeard")}${CHOSEN})`, "{{source}}"]],
      },
    ],
  ],
  [
    "Routing",
    [
      {
        title: "Prompt tokens that were cached",
        unit: "percentunit",
        about: "Share of the prompt tokens that workers had cached.",
        lines: [[`${rate("cachedTokens", "model")} / ${rate("promptTokens", "model")}`, "{{model}}"]],
      },
      {
        title: "Time to first token, against the prediction",
        unit: "short",
        about: "Median of the time that it took, divided by the time that was predicted: 1 is right.",
        lines: [[quantile(0.5, "ttftPredictionError", "worker"), "{{worker}}"]],
      },
      {
        title: "Trust in what is known of caches",
        unit: "percentunit",
        about: "1: what the gateway expects to be cached has been right.",
        lines: [[`min by (worker) (${name("cacheTrust")}${CHOSEN})`, "{{worker}}"]],
      },
    ],
  ],
  [
    "The gateway",
    [
      {
        title: "Queue",
        unit: "short",
        about: "Requests that wait for a place, and those that have one.",
        lines: [
          [`sum (${name("queueDepth")}${CHOSEN})`, "waiting"],
          [`sum (${name("admitted")}${CHOSEN})`, "admitted"],
        ],
      },
      {
        title: "CPU",
        unit: "short",
        about: "Cores in use.",
        lines: [[`sum by (instance) (rate(${name("cpuSeconds")}${CHOSEN}[$__rate_interval]))`, "{{instance}}"]],
      },
      {
        title: "Memory",
        unit: "bytes",
        about: "Resident memory.",
        lines: [[`sum by (instance) (${name("residentBytes")}${CHOSEN})`, "{{instance}}"]],
      },
      {
        title: "Event loop delay",
        unit: "s",
        about: "How late the loop is; above max_event_loop_delay_ms requests are refused.",
        lines: [[`max by (instance) (${name("loopDelay")}${CHOSEN})`, "{{instance}}"]],
      },
      {
        title: "Sockets",
        unit: "short",
        about: "Clients' connections, and those to HTTP workers.",
        lines: [
          [`sum (${name("clientConnections")}${CHOSEN})`, "clients"],
          [`sum (${name("upstreamSockets")}${CHOSEN})`, "workers"],
        ],
      },
      {
        title: "Configuration",
        unit: "short",
        about: "Version in force, by gateway.",
        lines: [[`max by (instance) (${name("configVersion")}${CHOSEN})`, "{{instance}}"]],
      },
    ],
  ],
];

/** Panels in a row of the page, and their size in Grafana's grid of 24 columns. */
const WIDTH = 8;
const HEIGHT = 8;

/** A dashboard for Grafana, from version 10 on. */
export function dashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const [title, row] of ROWS) {
    panels.push({ type: "row", title, id: panels.length + 1, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y += 1;
    for (const [index, panel] of row.entries()) {
      const x = (index % 3) * WIDTH;
      panels.push(panelOf(panel, panels.length + 1, { x, y: y + Math.floor(index / 3) * HEIGHT, w: WIDTH, h: HEIGHT }));
    }
    y += Math.ceil(row.length / 3) * HEIGHT;
  }
  return {
    title: "pointsman",
    uid: "pointsman",
    tags: ["pointsman", "llm"],
    timezone: "browser",
    schemaVersion: 39,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    templating: { list: [dataSource(), jobs()] },
    panels,
  };
}

const SOURCE = { type: "prometheus", uid: "$datasource" };

function dataSource(): object {
  return { name: "datasource", type: "datasource", query: "prometheus", current: {}, hide: 0 };
}

function jobs(): object {
  const query = `label_values(${name("buildInfo")}, job)`;
  return {
    name: "job",
    type: "query",
    datasource: SOURCE,
    query: { query, refId: "jobs" },
    definition: query,
    includeAll: true,
    allValue: ".*",
    multi: true,
    current: { text: "All", value: "$__all" },
    refresh: 2,
  };
}

function panelOf({ title, unit, about, lines }: Panel, id: number, gridPos: object): object {
  return {
    id,
    type: "timeseries",
    title,
    description: about,
    datasource: SOURCE,
    gridPos,
    fieldConfig: {
      defaults: { unit, min: 0, custom: { fillOpacity: 8, lineWidth: 1, showPoints: "never" } },
      overrides: [],
    },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
    targets: lines.map(([expr, legendFormat], index) => ({
      expr,
      legendFormat,
      refId: String.fromCharCode(65 + index),
      datasource: SOURCE,
    })),
  };
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: "critical" | "warning";
  readonly summary: string;
  readonly description: string;
}

function rate5m(metric: Metric, by: string, filter = ""): string {
  return `sum by (${by}) (rate(${name(metric)}${filter}[5m]))`;
}

export const ALERTS: readonly Alert[] = [
  {
    alert: "PointsmanAbsent",
    expr: `absent(${name("buildInfo")})`,
    for: "5m",
    severity: "critical",
    summary: "No gateway is scraped",
    description: "None runs, or Prometheus does not reach its metrics. docs/monitoring.md.",
  },
  {
    alert: "PointsmanNoWorker",
    // A gateway without any worker has no series of workers.
    expr: `sum by (job, instance) (${name("workerUp")}) == 0 or sum by (job, instance) (${name("workers")}) == 0`,
    for: "1m",
    severity: "critical",
    summary: "No worker takes requests of {{ $labels.instance }}",
    description: "GET /workers says why: last_error and trouble of each, and the state of the sources of workers.",
  },
  {
    alert: "PointsmanWorkerOut",
    expr: `min by (job, worker) (${name("workerUp")}) == 0`,
    for: "10m",
    severity: "warning",
    summary: "{{ $labels.worker }} takes no requests",
    description: "docs/operating.md: which worker is broken, and why.",
  },
  {
    alert: "PointsmanServerErrors",
    expr: `${rate5m("requests", "job", '{status=~"5.."}')} / ${rate5m("requests", "job")} > 0.02`,
    for: "5m",
    severity: "critical",
    summary: "More than 2 % of the requests end with 5xx",
    description: "pointsman_request_errors_total has the codes, the access line of each request its workers.",
  },
  {
    alert: "PointsmanModelFails",
    expr: `${rate5m("requests", "job, model", '{status=~"5.."}')} / ${rate5m("requests", "job, model")} > 0.5`,
    for: "5m",
    severity: "critical",
    summary: "More than half of the requests for {{ $labels.model }} end with 5xx",
    description:
      "Among many requests for other models the share of all stays small. docs/operating.md: which worker is broken, and why.",
  },
  {
    alert: "PointsmanRefusing",
    expr: `${rate5m("refusals", "job, code")} > 0`,
    for: "5m",
    severity: "warning",
    summary: "Connections or bodies are refused: {{ $labels.code }}",
    description: "The fleet or the gateway is full. docs/capacity.md.",
  },
  {
    alert: "PointsmanQueueing",
    expr: `sum by (job) (${name("queueDepth")}) > 0`,
    for: "10m",
    severity: "warning",
    summary: "Requests wait for a place",
    description: "max_concurrent_requests is reached for ten minutes.",
  },
  {
    alert: "PointsmanPanic",
    expr: `max by (job, model) (${name("panic")}) == 1`,
    for: "2m",
    severity: "critical",
    summary: "Too many workers of {{ $labels.model }} fail to eject them",
    description: "Failing workers get requests because too few are left. docs/failing-workers.md.",
  },
  {
    alert: "PointsmanSourceAway",
    expr: `min by (job, source) (${name("sourceUp")}) == 0`,
    for: "10m",
    severity: "warning",
    summary: "The source of workers {{ $labels.source }} is away",
    description: "Workers stay as they were. GET /workers says why, under sources.",
  },
  {
    alert: "PointsmanSourceDeaf",
    expr: `time() - min by (job, source) (${name("sourceHeard")}) > 600`,
    for: "1m",
    severity: "warning",
    summary: "Nothing was heard of the source of workers {{ $labels.source }} for ten minutes",
    description: "Workers stay as they were, and new ones are not found. docs/kubernetes.md.",
  },
  {
    alert: "PointsmanCertificateExpires",
    expr: `min by (job, use) (${name("certificateExpiry")}) < 7 * 86400`,
    for: "1h",
    severity: "warning",
    summary: "The certificate for {{ $labels.use }} expires within a week",
    description: "docs/tls.md: a changed file is taken without a restart.",
  },
  {
    alert: "PointsmanConfigFails",
    expr: `increase(${name("configFailures")}[15m]) > 0`,
    for: "0m",
    severity: "warning",
    summary: "A change of the configuration was refused",
    description: "The log says why; the configuration before is in force. docs/reload.md.",
  },
  {
    alert: "PointsmanConfigDiffers",
    expr: `max by (job, instance) (${name("configDiffers")}) == 1`,
    for: "1h",
    severity: "warning",
    summary: "{{ $labels.instance }} runs with another configuration than its file has",
    description:
      "It was changed over the API, or the file was refused: a restart would bring something else. docs/reload.md.",
  },
  {
    alert: "PointsmanLoopDelay",
    expr: `max by (job, instance) (${name("loopDelay")}) > 0.25`,
    for: "2m",
    severity: "warning",
    summary: "The gateway {{ $labels.instance }} is late",
    description: "Its event loop is 250 ms behind: more threads, or fewer requests for each.",
  },
  {
    alert: "PointsmanRestartedThreads",
    expr: `increase(${name("threadRestarts")}[1h]) > 0`,
    for: "0m",
    severity: "warning",
    summary: "A serving thread was started anew",
    description: "The log has the stack of what ended it.",
  },
];

/** Alert rules for Prometheus, and for a PrometheusRule. */
export function alertRules(): object {
  const rules = ALERTS.map(({ alert, expr, for: time, severity, summary, description }) => ({
    alert,
    expr,
    for: time,
    labels: { severity },
    annotations: { summary, description },
  }));
  return { groups: [{ name: "pointsman", rules }] };
}

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { ALERTS, ROWS } from "../../scripts/monitoring.ts";
import { METRICS, type MetricRow } from "../../src/observability/metrics-table.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";

const RULES = join(import.meta.dir, "../../deploy/helm/pointsman/files/alerts.yaml");
const EXPRESSIONS = [
  ...ROWS.flatMap(([, panels]) => panels.flatMap(({ lines }) => lines.map(([expression]) => expression))),
  ...ALERTS.map(({ expr }) => expr),
];
/** Added by Prometheus to every series, and by histograms. */
const OWN_LABELS = new Set(["job", "instance", "le"]);

/** Metrics of an expression with the labels that it groups by. */
function usesOf(expression: string): { readonly rows: readonly MetricRow[]; readonly labels: readonly string[] } {
  const names = expression.match(/(pointsman|process)_\w+/g) ?? [];
  const rows = names.map((name) => {
    const row = Object.values(METRICS as Readonly<Record<string, MetricRow>>).find(
      (one) => one.name === name.replace(/_bucket$/, ""),
    );
    if (!row) throw new Error(`there is no ${name}`);
    return row;
  });
  const labels = Array.from(expression.matchAll(/by \(([^)]*)\)/g), ([, list = ""]) => list.split(/,\s*/)).flat();
  return { rows, labels };
}

test("each expression of the dashboard and the alerts groups by labels that its metrics have", () => {
  for (const expression of EXPRESSIONS) {
    const { rows, labels } = usesOf(expression);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      expect([expression, labels.filter((label) => !OWN_LABELS.has(label) && !row.labels.includes(label))]).toEqual([
        expression,
        [],
      ]);
      expect([expression, expression.includes(`${row.name}_bucket`)]).toEqual([expression, row.kind === "histogram"]);
    }
  }
});

test("a counter whose first step is an alert is on the page before that step", () => {
  const first = ALERTS.filter(({ expr }) => expr.includes("increase(")).flatMap(({ expr }) => usesOf(expr).rows);
  expect(first.length).toBeGreaterThan(0);
  for (const { name, labels, from } of first)
    expect([name, labels.length === 0 || from !== undefined]).toEqual([name, true]);
});

const up = (metric: string, value: string, more = ""): string =>
  `${metric}{job="edge",instance="a"${more === "" ? "" : `,${more}`}} ${value}`;
const NO_WORKERS = ["pending", "ready", "not_ready", "failed", "draining"].map((status) =>
  up("pointsman_workers", "0x240", `status="${status}"`),
);
const some = (per: number, status: number, model = "m"): string =>
  up("pointsman_requests_total", `0+${per}x240`, `endpoint="chat",model="${model}",status="${status}"`);
const build = up("pointsman_build_info", "1x240", 'version="1"');

/**
 * For each alert the series of one minute after the other with which it must fire after two hours, and those with which it must not.
 * A first failure is one step of a counter, as the gateway's page shows it.
 */
const WHEN: Readonly<
  Record<string, { readonly fires: readonly (readonly string[])[]; readonly not: readonly string[] }>
> = {
  PointsmanAbsent: { fires: [[up("up", "0x240")]], not: [build] },
  PointsmanNoWorker: {
    fires: [
      NO_WORKERS,
      [up("pointsman_worker_up", "0x240", 'worker="w"'), up("pointsman_workers", "1x240", 'status="ready"')],
    ],
    not: [up("pointsman_worker_up", "0x240", 'worker="w"'), up("pointsman_worker_up", "1x240", 'worker="v"')],
  },
  PointsmanWorkerOut: {
    fires: [[up("pointsman_worker_up", "0x240", 'worker="w"'), up("pointsman_worker_up", "1x240", 'worker="v"')]],
    not: [up("pointsman_worker_up", "1x240", 'worker="w"')],
  },
  PointsmanServerErrors: {
    fires: [[some(100, 200), some(4, 503)]],
    not: [some(100, 200), some(1, 503), some(50, 429)],
  },
  PointsmanModelFails: {
    fires: [[some(1000, 200, "large"), some(2, 503, "small"), some(1, 200, "small")]],
    not: [some(1000, 200, "large"), some(2, 200, "small"), some(1, 503, "small")],
  },
  PointsmanRefusing: {
    fires: [[up("pointsman_refused_total", "0+1x240", 'code="too_many_connections"')]],
    not: [up("pointsman_refused_total", "7x240", 'code="too_many_connections"')],
  },
  PointsmanQueueing: { fires: [[up("pointsman_queue_depth", "2x240")]], not: [up("pointsman_queue_depth", "0x240")] },
  PointsmanPanic: {
    fires: [[up("pointsman_panic", "1x240", 'model="m"')]],
    not: [up("pointsman_panic", "0x240", 'model="m"')],
  },
  PointsmanSourceAway: {
    fires: [[up("pointsman_worker_source_up", "0x240", 'source="kubernetes"')]],
    not: [up("pointsman_worker_source_up", "1x240", 'source="kubernetes"')],
  },
  PointsmanSourceDeaf: {
    fires: [[up("pointsman_worker_source_last_heard_timestamp_seconds", "5x240", 'source="kubernetes"')]],
    not: [up("pointsman_worker_source_last_heard_timestamp_seconds", "0+60x240", 'source="kubernetes"')],
  },
  PointsmanCertificateExpires: {
    fires: [[up("pointsman_certificate_expiry_seconds", "600000x240", 'use="server",path="a"')]],
    not: [up("pointsman_certificate_expiry_seconds", "700000x240", 'use="server",path="a"')],
  },
  PointsmanConfigFails: {
    fires: [[up("pointsman_config_failures_total", "0x110 1x130", 'via="signal"')]],
    not: [up("pointsman_config_failures_total", "0x50 1x190", 'via="signal"')],
  },
  PointsmanConfigDiffers: {
    fires: [[up("pointsman_config_differs_from_file", "1x240")]],
    not: [up("pointsman_config_differs_from_file", "0x240")],
  },
  PointsmanLoopDelay: {
    fires: [[up("pointsman_event_loop_delay_seconds", "0.3x240")]],
    not: [up("pointsman_event_loop_delay_seconds", "0.2x240")],
  },
  PointsmanRestartedThreads: {
    fires: [[up("pointsman_thread_restarts_total", "0x110 1x130")]],
    not: [up("pointsman_thread_restarts_total", "1x240")],
  },
};

/** Series of `promtool test rules`. */
const inputOf = (lines: readonly string[]): object[] =>
  lines.map((line) => {
    const [, series, values] = /^(.*\}) (.*)$/.exec(line) ?? [];
    return { series, values };
  });

/** What autoscalers and dashboards of other programs ask for: demand, saturation, and what is up. */
const OTHERS_ASK = [
  'max(llm_d_epp_flow_control_pool_saturation{inference_pool="pointsman"})',
  'sum(llm_d_epp_request_running{model_name="sim-1"})',
  "sum(llm_d_epp_flow_control_queue_size)",
  "inference_pool_average_kv_cache_utilization",
  "inference_pool_average_queue_size",
  "inference_pool_ready_pods",
  "vllm:num_requests_waiting",
  "sum(vllm:num_requests_running)",
  "vllm:kv_cache_usage_perc",
  "sum by (model) (rate(vllm:num_incoming_requests_total[5s]))",
  "smg_engine_token_usage",
  "sum(smg_worker_requests_active)",
  "smg_queue_depth",
];

/** Metrics that a gateway without trouble, and with an engine without a cache, does not have yet. */
const MAY_BE_EMPTY = [
  "cachedTokens",
  "workersOut",
  "ejections",
  "errors",
  "refusals",
  "panic",
  "certificateExpiry",
  "threadRestarts",
  "sourceHeard",
] as const;

async function freePort(): Promise<number> {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const { port } = server;
  server.stop(true);
  return port;
}

const hasPrometheus = Bun.which("prometheus") !== null && Bun.which("promtool") !== null;

test.skipIf(!hasPrometheus)(
  "each alert fires when its trouble is there, the first time too, and not without it",
  () => {
    expect(Object.keys(WHEN).toSorted()).toEqual(ALERTS.map(({ alert }) => alert).toSorted());
    const tests = Object.entries(WHEN).flatMap(([alert, { fires, not }]) =>
      [...fires.map((series) => ({ series, count: 1 })), { series: not, count: 0 }].map(({ series, count }) => ({
        name: alert,
        interval: "1m",
        input_series: inputOf(alert === "PointsmanAbsent" ? series : [build, ...series]),
        promql_expr_test: [
          {
            expr: `count by (alertname) (ALERTS{alertname="${alert}",alertstate="firing"})`,
            eval_time: "2h",
            exp_samples: count === 0 ? [] : [{ labels: `{alertname="${alert}"}`, value: count }],
          },
        ],
      })),
    );
    const folder = mkdtempSync(join(tmpdir(), "pointsman-alerts-"));
    try {
      const file = join(folder, "test.yml");
      writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: "5m", tests }));
      const { exitCode, stdout, stderr } = Bun.spawnSync(["promtool", "test", "rules", file]);
      expect([exitCode, stdout.toString() + stderr.toString()]).toEqual([0, expect.stringContaining("SUCCESS")]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test.skipIf(!hasPrometheus)(
  "Prometheus takes the rules, scrapes the page, and finds series for every expression",
  async () => {
    const rules = Bun.spawnSync(["promtool", "check", "rules", RULES]);
    expect([rules.exitCode, rules.stdout.toString()]).toEqual([
      0,
      expect.stringContaining(`${ALERTS.length} rules found`),
    ]);
    await using engine = await startEngine({ model: "sim-1" });
    const compat = ["--metrics-compat", "smg,vllm,llm-d", "--engine-load-interval-secs", "1"];
    await using gateway = await startProcess(["--worker-urls", engine.url, ...compat]);
    while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
    const folder = mkdtempSync(join(tmpdir(), "pointsman-prometheus-"));
    const target = JSON.stringify(new URL(gateway.url).host);
    writeFileSync(
      join(folder, "prometheus.yml"),
      `global: {scrape_interval: 1s}\nrule_files: [${JSON.stringify(RULES)}]\nscrape_configs: [{job_name: edge, static_configs: [{targets: [${target}]}]}]\n`,
    );
    const port = await freePort();
    const args = [
      "--config.file",
      join(folder, "prometheus.yml"),
      "--storage.tsdb.path",
      join(folder, "data"),
      "--log.level",
      "error",
    ];
    const prometheus = Bun.spawn(["prometheus", ...args, "--web.listen-address", `127.0.0.1:${port}`], {
      stderr: "ignore",
    });
    try {
      for (let second = 0; second < 8; second += 1) {
        for (let count = 0; count < 3; count += 1) {
          await (await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, stream: count > 0 })).text();
        }
        await Bun.sleep(1000);
      }
      for (const expression of [...EXPRESSIONS, ...OTHERS_ASK]) {
        const query = expression
          .replaceAll("$__rate_interval", "5s")
          .replaceAll("$job", ".*")
          .replace(/ (==|>|<) [\d.* ]+$/, "");
        const reply = await fetch(`http://127.0.0.1:${port}/api/v1/query?${new URLSearchParams({ query }).toString()}`);
        const { status, data } = (await reply.json()) as { status: string; data: { result: unknown[] } };
        // Without a failed request there is no series of failed ones, and no alert; and a gateway that is there is not absent.
        const mayBeEmpty =
          expression.startsWith("absent(") ||
          expression.includes('"5.."') ||
          usesOf(expression).rows.some(({ name }) => MAY_BE_EMPTY.some((key) => METRICS[key].name === name));
        expect([query, status, data.result.length > 0 || mayBeEmpty]).toEqual([query, "success", true]);
      }
    } finally {
      prometheus.kill("SIGKILL");
      await prometheus.exited;
      rmSync(folder, { recursive: true });
    }
  },
  60_000,
);

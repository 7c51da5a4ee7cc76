import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  "configFailures",
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
        // Without a failed request there is no series of failed ones, and no alert.
        const mayBeEmpty =
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

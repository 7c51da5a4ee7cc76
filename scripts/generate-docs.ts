/** `npm run generate`: writes the pages and the JSON schema that are made from tables. A test compares them with the tables. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { foreignFlagRows } from "../src/config/launch-flags.ts";
import { envName, flagName, optionDefault } from "../src/config/options.ts";
import { type ConfigKey, configSchema, OPTION_GROUPS, optionMeta } from "../src/config/schema.ts";
import { NEEDS_RESTART } from "../src/config/needs-restart.ts";
import { ERRORS, errorRow } from "../src/errors/errors.ts";
import { ACCESS_FIELDS } from "../src/observability/access-fields.ts";
import { COMPAT } from "../src/observability/compat-table.ts";
import { METRICS, type MetricRow } from "../src/observability/metrics-table.ts";
import { REASONING_PARSERS } from "../src/parser/reasoning-parsers.ts";
import { POLICIES } from "../src/policy/policies.ts";
import { SIGNALS } from "../src/policy/signal-counts.ts";
import { PICK_REASONS } from "../src/policy/pick-reasons.ts";
import type { PolicyRow } from "../src/policy/define-policy.ts";
import { BASELINES } from "../src/simulate/baselines/baselines.ts";
import { TOOL_CALL_PARSERS } from "../src/parser/tool-call-parsers.ts";
import { type AnyRecord, keysOf } from "../src/util/objects.ts";
import { snakeCase } from "../src/util/case.ts";
import { chartSchema } from "./chart-schema.ts";
import { configJsonSchema } from "./json-schema.ts";
import { openApi } from "./openapi.ts";
import { migrationParts } from "./migration.ts";
import { alertRules, dashboard } from "./monitoring.ts";

const COMBINED = { mean: "the mean", max: "the largest" } as const;
const KEYS = keysOf(configSchema.shape);
const ROOT = join(import.meta.dir, "..");

/** The text of each generated file, by its path in the project. */
export function pages(): Readonly<Record<string, string>> {
  return {
    "docs/config.md": configPage(),
    "docs/errors.md": errorsPage(),
    "docs/metrics.md": metricsPage(),
    "docs/parsers.md": parsersPage(),
    "docs/decisions.md": decisionsPage(),
    "docs/policies.md": policiesPage(),
    "docs/routing.md": routingPage(),
    "docs/logs.md": filledPage("docs/logs.md", { "access-line": accessFields() }),
    "docs/openapi.json": `${JSON.stringify(openApi(), undefined, 2)}\n`,
    "docs/migration.md": filledPage("docs/migration.md", migrationParts()),
    "config.schema.json": `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`,
    "deploy/helm/pointsman/files/dashboard.json": `${JSON.stringify(dashboard(), undefined, 2)}\n`,
    "deploy/helm/pointsman/files/alerts.yaml": stringify(alertRules(), { lineWidth: 0 }),
    "deploy/helm/pointsman/files/needs-restart.json": `${JSON.stringify(keysOf(NEEDS_RESTART).map(snakeCase), undefined, 2)}\n`,
    "deploy/helm/pointsman/values.schema.json": `${JSON.stringify(chartSchema(configJsonSchema()), undefined, 2)}\n`,
  };
}

function policiesPage(): string {
  return filledPage("docs/policies.md", {
    policies: policyTable(),
    options: policyOptions(),
    signals: policySignals(),
    "custom-policy": codeOf("custom-policy.ts", "ts"),
    "learning-policy": codeOf("learning-policy.ts", "ts"),
  });
}

function routingPage(): string {
  const rows = BASELINES.map(({ name, source, chooses }) => `| ${code(name)} | ${source} | ${chooses} |`);
  return filledPage("docs/routing.md", { baselines: ["| name | formula of | chooses |", "|---|---|---|", ...rows] });
}

function decisionsPage(): string {
  const reasons = Object.entries(PICK_REASONS).map(([name, meaning]) => `| ${code(name)} | ${meaning} |`);
  return filledPage("docs/decisions.md", {
    reasons: ["| reason | why the worker was chosen |", "|---|---|", ...reasons],
  });
}

function accessFields(): string[] {
  const rows = Object.entries(ACCESS_FIELDS).map(([name, says]) => `| ${code(name)} | ${says} |`);
  return ["| field | |", "|---|---|", ...rows];
}

/** A page that is written by hand, with what is made of rows and examples between its marks. */
function filledPage(path: string, parts: Readonly<Record<string, readonly string[]>>): string {
  const page = readFileSync(join(ROOT, path), "utf8");
  return page.replace(
    /(<!-- made: ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_whole, begin: string, part: string, end: string) => {
      const lines = parts[part];
      if (!lines) throw new Error(`${path} has a place for ${part}, which nothing makes`);
      return `${begin}\n${lines.join("\n")}\n\n${end}`;
    },
  );
}

function policyTable(): string[] {
  const rows = POLICIES.map(({ name, aliases, chooses, goodFor }) => {
    const also = aliases.length > 0 ? `, also ${aliases.map(code).join(", ")}` : "";
    return `| ${code(name)}${also} | ${chooses} | ${goodFor} |`;
  });
  return ["| name | chooses | good for |", "|---|---|---|", ...rows];
}

function policySignals(): string[] {
  const rows = POLICIES.flatMap(({ name, signals }) =>
    keysOf(SIGNALS).flatMap((signal) => {
      const instead = signals?.[signal];
      return instead === undefined ? [] : `| ${code(name)} | ${code(signal)}: ${SIGNALS[signal].what} | ${instead} |`;
    }),
  );
  return ["| policy | needs | without it |", "|---|---|---|", ...rows];
}

function policyOptions(): string[] {
  const rows = POLICIES.flatMap(({ name, options }: PolicyRow) =>
    Object.entries(options.shape).map(([key, schema]) => {
      const value = schema instanceof z.ZodDefault ? code(String(schema.def.defaultValue)) : "none";
      return `| ${code(name)} | ${code(snakeCase(key))} | ${value} | ${z.globalRegistry.get(schema)?.description} |`;
    }),
  );
  return ["| policy | option | default | |", "|---|---|---|---|", ...rows];
}

/** An example as it stands in its folder, where tests run it. */
function codeOf(file: string, language: string): string[] {
  const text = readFileSync(join(ROOT, "examples", file), "utf8").trimEnd();
  return [`\`\`\`${language}`, text, "```"];
}

function parsersPage(): string {
  const lines = [
    "# Parsers",
    "",
    "Made from `src/parser/tool-call-parsers.ts` and `src/parser/reasoning-parsers.ts` by `npm run generate`. The gateway chooses a model's parser by its chat template and its id (`src/parser/choose-parser.ts`). Options also take names with hyphens, and the names that SGLang and vLLM have for the same parsers (`src/parser/parser-names.ts`).",
    "",
    "Parsers read the answers of gRPC workers. With `parse_output` they also read answers of HTTP workers whose engines have no parser switched on: chat completions, streamed or whole, of regular workers and of prefill/decode pairs. Once an engine has parsed a part of a stream itself, the gateway changes nothing in the rest. `POST /parse/function_call` and `POST /parse/reasoning` try a parser on a text.",
    "Over HTTP the gateway sees neither the rendered prompt nor the chat template: it chooses by the model's id, or by `tool_call_parser` and `reasoning_parser`. Where a template opens the reasoning of a model that can also answer without, name a family that reasons from the beginning. For parsers of special tokens the gateway sets `skip_special_tokens: false` where the client did not set it; the engine must know that member.",
    "",
    "A model does not always write what its template shows:",
    "",
    "- A parameter without its end tag ends where the next parameter of the tool begins a line (a parameter of any name, where the schema names none), where the next call of a declared tool begins, or where its function ends. Tags within a line are text, except those of DeepSeek and GLM, which are tokens. A call without its end tag ends where the next call begins.",
    "- The schema decides the type of a value: a string keeps all its characters, quotes included. Without a schema, the value has the type that it looks like.",
    "- Arguments that are nearly JSON (an extra comma, single quotes) keep the model's spelling, and end where their object ends.",
    "- When the answer breaks off within a call, the client gets the part of the call that was written, so its arguments are not JSON. The gateway closes nothing for the model.",
    "- Tags with nothing between them produce no text.",
  ];
  for (const [title, rows] of Object.entries({ "Tool calls": TOOL_CALL_PARSERS, Reasoning: REASONING_PARSERS })) {
    lines.push(
      "",
      `## ${title}`,
      "",
      "| name | family | how it looks | special tokens | ends with |",
      "|---|---|---|---|---|",
    );
    for (const [name, row] of Object.entries(rows)) {
      const kept = row.needsSpecialTokens ? "kept" : "";
      const cells = [code(name), row.family, row.description, kept, row.stopTokens.map(code).join(", ")];
      lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function configPage(): string {
  const lines = [
    "# Configuration",
    "",
    "Made from `src/config/schema.ts` by `npm run generate`.",
    "",
    "A flag overrides the environment, the environment overrides the file (`--config FILE` or `POINTSMAN_CONFIG`, YAML), and the file overrides the defaults. `pointsman config check --config FILE` prints the resulting configuration, or all its mistakes.",
    "A variable is named after the key in the file or after one of the flags: `POINTSMAN_DEFAULT_POLICY` and `POINTSMAN_POLICY` are one option, and so are `POINTSMAN_INITIAL_WORKERS` and `POINTSMAN_WORKER_URLS`. `POINTSMAN_PREFILL` and `POINTSMAN_DECODE` name workers as the flags do. Keys in flags show in the list of processes; keys in variables and in the file do not.",
    "Lists are comma-separated in the environment, and comma- or space-separated after a flag. An empty variable counts as not set. `--no-` before the name of a switch, or `=false` after it, turns it off. Workers of the environment replace the file's; workers of flags are added to either.",
    "An unknown key or a value of the wrong type is an error: the gateway prints all errors with their places, and does not start. An unknown variable is only a warning at start-up, because Kubernetes sets some with the same prefix.",
    "In values of the file, `${NAME}` stands for the variable of that name, and `${NAME:-default}` for `default` where it is not set or empty; a variable that is not set is an error. The value has the type that the option wants, and is never read as YAML. `$${` stands for `${` itself. In `{ }` and `[ ]` such a value needs quotes.",
    "Beside each secret, `NAME_file` names a file that holds it, such as a mounted Kubernetes secret: `api_key_file: /run/secrets/key` in place of `api_key`. The line break at its end is cut. In the output of `config check` a comment says where each value is from.",
    "",
    "An option with a reason in the column *restart* cannot be changed while the gateway runs; all others can ([reload.md](reload.md)).",
  ];
  for (const group of OPTION_GROUPS) {
    lines.push(
      "",
      `## ${group}`,
      "",
      "| key in the file | flag | environment | type | default | | restart |",
      "|---|---|---|---|---|---|---|",
    );
    for (const key of KEYS) {
      const meta = optionMeta(key);
      if (meta.group !== group) continue;
      const flag = meta.fileOnly ? "" : [flagName(key), ...(meta.aliases ?? [])].map(code).join(", ");
      lines.push(
        `| ${code(snakeCase(key))} | ${flag} | ${meta.fileOnly ? "" : code(envName(key))} | ${typeOf(key)} | ${defaultOf(key)} | ${meta.description} | ${NEEDS_RESTART[key] ?? ""} |`,
      );
    }
  }
  lines.push(...exampleText("Keys of clients", "client-keys"), ...exampleText("Health checks", "worker-health"));
  lines.push(...foreignFlagsText());
  return `${lines.join("\n")}\n`;
}

/** An example from `examples/`, where tests load it. */
function exampleText(title: string, name: string): string[] {
  const text = readFileSync(join(ROOT, "examples", `${name}.yaml`), "utf8").trimEnd();
  const shown = text.split("\n").filter((line) => !line.startsWith("#"));
  return ["", `## Example: ${title.toLowerCase()}`, "", "```yaml", ...shown, "```"];
}

function foreignFlagsText(): string[] {
  const { refused, unused, byValue } = foreignFlagRows();
  const parts: readonly [title: string, rows: typeof refused][] = [
    ["Refused, with this sentence:", refused],
    ["Accepted or refused by their value:", byValue],
    ["Accepted without effect; a notice at start-up says so:", unused],
  ];
  return [
    "",
    "## Flags of other gateways",
    "",
    "The gateway knows the flags of sglang-router, smg, vllm-router, production-stack and LiteLLM. Most of them are options above, under their own names. It also takes the workers of `--static-backends URL,URL` with `--static-models MODEL,MODEL`, of `--prefill-workers` and of `--decode-workers`.",
    ...parts.flatMap(([title, rows]) => [
      "",
      title,
      "",
      "| | flags |",
      "|---|---|",
      ...rows.map(({ text, flags }) => `| ${text} | ${flags.map(code).join(", ")} |`),
    ]),
  ];
}

/** Type and bounds of an option, from the JSON schema that editors read. */
function typeOf(key: ConfigKey): string {
  const schema: AnyRecord = z.toJSONSchema(configSchema.shape[key], { io: "input", unrepresentable: "any" });
  if (Array.isArray(schema["enum"])) return schema["enum"].map((value) => code(String(value))).join(", ");
  switch (schema["type"]) {
    case "array":
      return "list";
    case "object":
      return "mapping";
    case "integer":
    case "number": {
      const above = schema["exclusiveMinimum"];
      const from = typeof above === "number" ? `above ${above}` : Number(schema["minimum"]);
      return `${schema["type"]}, ${from} to ${Number(schema["maximum"])}`;
    }
    default:
      return String(schema["type"]);
  }
}

function defaultOf(key: ConfigKey): string {
  const value = optionDefault(key);
  if (value === undefined) return "none";
  if (Array.isArray(value)) return value.length === 0 ? "none" : code(value.join(","));
  return typeof value === "object" ? "none" : code(typeof value === "string" ? value : JSON.stringify(value));
}

function errorsPage(): string {
  const lines = [
    "# Errors",
    "",
    "Made from `src/errors/errors.ts` by `npm run generate`.",
    "",
    'OpenAI routes answer `{"error":{"message","type","param","code"}}`, all four keys always; `/v1/messages` answers `{"type":"error","error":{"type","message","code","param"},"request_id"}`. Every answer has `x-request-id`.',
    "Within a stream the same body is an event (`data:`, or `event: error` on `/v1/messages` and `/v1/responses`), and nothing follows it.",
    "",
    "`next model` says whether the next fallback of a route is asked ([model-routes.md](model-routes.md)).",
    "",
    "| code | status | OpenAI type | Anthropic type | retry | breaker | next model | |",
    "|---|---|---|---|---|---|---|---|",
  ];
  for (const name of keysOf(ERRORS)) {
    const row = errorRow(name);
    lines.push(
      `| ${code(name)} | ${row.http} | ${row.openai} | ${row.anthropic} | ${row.retry.replaceAll("_", " ")} | ${row.breaker} | ${row.nextModel ? "yes" : "no"} | ${row.meaning} |`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function metricsPage(): string {
  const lines = [
    "# Metrics",
    "",
    "Made from `src/observability/metrics-table.ts` by `npm run generate`.",
    "",
    "The metrics are at `/metrics` on the main port, and on `prometheus_port`. A label has at most 256 values; further ones, and models that no worker serves, count as `other`.",
    "",
    "| name | kind | labels | |",
    "|---|---|---|---|",
  ];
  for (const row of Object.values(METRICS) as MetricRow[]) {
    lines.push(`| ${code(row.name)} | ${row.kind} | ${row.labels.map(code).join(", ")} | ${row.help} |`);
  }
  lines.push(...compatText());
  return `${lines.join("\n")}\n`;
}

function compatText(): string[] {
  const lines = [
    "",
    "## Names of other programs",
    "",
    "Made from `src/observability/compat-table.ts`. With `metrics_compat: [smg, vllm, llm-d]`, or some of them, `/metrics` has these names too, so that dashboards and autoscalers that ask for them work. They are made at each scrape of the gateway's own metrics, added up over the labels that they do not have (or their mean or largest value, where the table says so), with the gateway's buckets. Labels that the gateway does not know (smg's `router_type`, `connection_mode`, `path`) are not there, and `endpoint` has the gateway's names of routes.",
    "",
    "**Demand** is the requests in flight, those that wait for admission, and those that wait within engines. **Saturation** comes from the engines: with `metrics_compat` the gateway asks each worker's engine every 10 s (`engine_load_interval_secs`) for its requests and the share of its KV cache. vLLM answers on `/metrics`, SGLang on `/v1/loads` or `/get_load`, both over gRPC with `GetLoads`. A report counts until it is three intervals old. Other engines do not report their load; for them, and while reports are missing, saturation is the prompt tokens in flight against the size of the KV cache, if that is known (`kv_capacity_tokens`, or by the engine's word), and nothing otherwise: a value that the gateway does not know is absent, not 0. A rule of an autoscaler must therefore say what absence means (KEDA: `ignoreNullValues: false`).",
    "",
    "`pointsman_saturation` has the scale of llm-d's utilization detector: 1 where 5 requests wait at each engine, or 80 % of the KV caches are taken. All workers are one pool, `pointsman`; where several models are served, the fullest counts. Unlike llm-d's, a worker that does not answer is left out of the mean and does not count as full, because the gateway leaves it out of the choice too.",
    "",
    "One Prometheus should not scrape both the gateway with `vllm` names and the engines behind it into the same sums: their requests would count twice.",
    "",
    "| set | name | labels | is |",
    "|---|---|---|---|",
  ];
  for (const [set, rows] of Object.entries(COMPAT)) {
    for (const { name, of, labels, combine } of rows) {
      const named = Object.entries(labels).map(([label, from]) =>
        code(from.startsWith("=") ? `${label}="${from.slice(1)}"` : label),
      );
      lines.push(
        `| ${set} | ${code(name)} | ${named.join(", ")} | ${code(METRICS[of].name)}${combine === undefined ? "" : `, ${COMBINED[combine]}`} |`,
      );
    }
  }
  return lines;
}

function code(text: string): string {
  return `\`${text}\``;
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(pages())) await Bun.write(join(ROOT, path), text);
}

/** Writes the pages and the schema that are made from tables: `npm run generate`. Tests hold them equal. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { foreignFlagRows } from "../src/config/launch-flags.ts";
import { envName, flagName, optionDefault } from "../src/config/options.ts";
import { type ConfigKey, configSchema, OPTION_GROUPS, optionMeta } from "../src/config/schema.ts";
import { ERRORS, errorRow } from "../src/errors/errors.ts";
import { METRICS, type MetricRow } from "../src/observability/metrics-table.ts";
import { REASONING_PARSERS } from "../src/parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS } from "../src/parser/tool-call-parsers.ts";
import { type AnyRecord, isRecord, keysOf } from "../src/util/objects.ts";
import { snakeCase } from "../src/util/case.ts";

const KEYS = keysOf(configSchema.shape);
const ROOT = join(import.meta.dir, "..");

/** Every page by its path below the project. */
export function pages(): Readonly<Record<string, string>> {
  return {
    "docs/config.md": configPage(),
    "docs/errors.md": errorsPage(),
    "docs/metrics.md": metricsPage(),
    "docs/parsers.md": parsersPage(),
    "config.schema.json": `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`,
  };
}

function parsersPage(): string {
  const lines = [
    "# Parsers",
    "",
    "Made from `src/parser/tool-call-parsers.ts` and `src/parser/reasoning-parsers.ts` by `npm run generate`. Which one a model needs is told by its chat template and its id (`src/parser/choose-parser.ts`). Names are taken with hyphens as well, and so are those that SGLang and vLLM have for the same parsers (`src/parser/parser-names.ts`).",
    "",
    "They read the answers of gRPC workers, and with `parse_output` those of HTTP workers whose engines have no parser of their own switched on: chat completions, streamed or whole, of regular workers and of prefill/decode pairs. Of a stream that an engine has begun to parse itself nothing is changed from there on. `POST /parse/function_call` and `POST /parse/reasoning` try a parser on a text.",
    "Over HTTP the gateway sees neither prompt nor chat template: a model is known by its id, or by `tool_call_parser` and `reasoning_parser`. Where the template opens the reasoning for a model that may also do without, name a family that reasons from the beginning. For parsers of special tokens the request is given `skip_special_tokens: false` where the client does not say; the engine must know that member.",
    "",
    "What a model writes is not always what its template shows:",
    "",
    "- A parameter without its end tag ends where the next parameter of the tool begins a line (of any name where the schema names none), where the next call of a declared tool begins, or with its function. Tags within a line are text; those of DeepSeek and GLM, which are tokens, count there, too. A call without its end tag ends where the next one begins.",
    "- A value is what the schema says: a string stands as it was written, quotes included. Where the schema says nothing, it is what it looks like.",
    "- Arguments that are nearly JSON (a comma too many, single quotes) come out as they were written, and end where their object does.",
    "- A call that the answer breaks off in comes out as far as it goes, as arguments that are not JSON. Nothing is closed for the model.",
    "- Tags with nothing between them are no text.",
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
    "Flags come before the environment, which comes before the file (`--config FILE` or `POINTSMAN_CONFIG`, YAML), which comes before the defaults. `pointsman check --config FILE` says what it all comes to, or everything that is wrong with it.",
    "A variable is called after the key in the file, or after any of the flags: `POINTSMAN_DEFAULT_POLICY` and `POINTSMAN_POLICY` are one option, and so are `POINTSMAN_INITIAL_WORKERS` and `POINTSMAN_WORKER_URLS`; `POINTSMAN_PREFILL` and `POINTSMAN_DECODE` name workers as the flags do. Keys in flags are seen by whoever lists processes; in variables or the file they are not.",
    "Lists are comma-separated in the environment, and comma- or space-separated after a flag; an empty variable counts as not set. A switch is turned off by `--no-` before its name, or `=false` behind it. Workers of the environment take the place of the file's, and flags add to either.",
    "Anything unknown or of the wrong type is an error, and nothing is started: each error is told with its place. Only a variable whose name is no option is not, as Kubernetes sets some that begin like ours; it is said at start-up.",
    "The file has no variables of its own: `${NAME}` in it is an error, so that no such text becomes a key.",
  ];
  for (const group of OPTION_GROUPS) {
    lines.push(
      "",
      `## ${group}`,
      "",
      "| key in the file | flag | environment | type | default | |",
      "|---|---|---|---|---|---|",
    );
    for (const key of KEYS) {
      const meta = optionMeta(key);
      if (meta.group !== group) continue;
      const flag = meta.fileOnly ? "" : [flagName(key), ...(meta.aliases ?? [])].map(code).join(", ");
      lines.push(
        `| ${code(snakeCase(key))} | ${flag} | ${meta.fileOnly ? "" : code(envName(key))} | ${typeOf(key)} | ${defaultOf(key)} | ${meta.description} |`,
      );
    }
  }
  lines.push(...exampleText("Keys of clients", "client-keys"), ...exampleText("Health checks", "worker-health"));
  lines.push(...foreignFlagsText());
  return `${lines.join("\n")}\n`;
}

/** An example as it stands in its folder, where tests load it. */
function exampleText(title: string, name: string): string[] {
  const text = readFileSync(join(ROOT, "examples", `${name}.yaml`), "utf8").trimEnd();
  const shown = text.split("\n").filter((line) => !line.startsWith("#"));
  return ["", `## Example: ${title.toLowerCase()}`, "", "```yaml", ...shown, "```"];
}

function foreignFlagsText(): string[] {
  const { refused, unused, byValue } = foreignFlagRows();
  const parts: readonly [title: string, rows: typeof refused][] = [
    ["Refused, with this sentence:", refused],
    ["Taken by value:", byValue],
    ["Taken, and said at start-up to change nothing:", unused],
  ];
  return [
    "",
    "## Flags of other gateways",
    "",
    "Known from scripts for sglang-router, smg, vllm-router, production-stack and LiteLLM. Most of theirs are options above, under their own names; the workers of `--static-backends URL,URL` with `--static-models MODEL,MODEL`, of `--prefill-workers` and of `--decode-workers` are taken too.",
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

/** Type and bounds, from the same JSON Schema that editors read. */
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
    "Within a stream the same body comes as an event (`data:`, or `event: error` on `/v1/messages` and `/v1/responses`), and nothing after it.",
    "",
    "| code | status | OpenAI type | Anthropic type | retry | breaker | |",
    "|---|---|---|---|---|---|---|",
  ];
  for (const name of keysOf(ERRORS)) {
    const row = errorRow(name);
    lines.push(
      `| ${code(name)} | ${row.http} | ${row.openai} | ${row.anthropic} | ${row.retry.replaceAll("_", " ")} | ${row.breaker} | ${row.meaning} |`,
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
    "At `/metrics` on the main port, and on `prometheus_port`. At most 256 values of a label are told apart; further ones, and models that no worker serves, count as `other`.",
    "",
    "| name | kind | labels | |",
    "|---|---|---|---|",
  ];
  for (const row of Object.values(METRICS) as MetricRow[]) {
    lines.push(`| ${code(row.name)} | ${row.kind} | ${row.labels.map(code).join(", ")} | ${row.help} |`);
  }
  return `${lines.join("\n")}\n`;
}

/** For editors: what the file may hold. Keys as in the file. */
function configJsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
  const { properties } = schema;
  // zod leaves the default of an option out that is changed on its way in.
  for (const key of KEYS) {
    const [property, value] = [properties?.[key], optionDefault(key)];
    if (typeof property === "object" && isJson(value)) property.default ??= value;
  }
  return { ...snakeRecord(schema), title: "pointsman configuration" };
}

function isJson(value: unknown): value is string | number | boolean | unknown[] {
  return ["string", "number", "boolean"].includes(typeof value) || Array.isArray(value);
}

/** Renames what stands under `properties` and `required`; all else is the schema's own language. */
function snakeRecord(record: object): AnyRecord {
  return Object.fromEntries(
    Object.entries(record).flatMap(([key, inner]): [string, unknown][] => {
      // What the options say of themselves beyond JSON Schema is for the pages.
      if (key === "group" || key === "flag" || key === "aliases" || key === "fileOnly") return [];
      if (key === "properties" && isRecord(inner)) {
        const properties = Object.entries(inner).map(([name, property]) => [snakeCase(name), snakeValue(property)]);
        return [[key, Object.fromEntries(properties)]];
      }
      if (key === "required" && Array.isArray(inner)) return [[key, inner.map((name) => snakeCase(String(name)))]];
      return [[key, snakeValue(inner)]];
    }),
  );
}

function snakeValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeValue);
  return isRecord(value) ? snakeRecord(value) : value;
}

function code(text: string): string {
  return `\`${text}\``;
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(pages())) await Bun.write(join(ROOT, path), text);
}

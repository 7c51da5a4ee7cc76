import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { METRICS } from "../../src/observability/metrics-table.ts";
import { mistakesOf, unknownFlags } from "../support/page-commands.ts";
import { WORLD_SETUP } from "../support/page-world.ts";
import {
  anchorsOf,
  BLOCK_KINDS,
  blocksOf,
  codeSpansOf,
  linksOf,
  pagePaths,
  type PageBlock,
  readPage,
} from "../support/pages.ts";
import { shellCommands, wordsFor } from "../support/shell-words.ts";

const ROOT = join(import.meta.dir, "../..");
const PAGES = pagePaths();
// Each reading of a command line makes the program with its hundreds of options.
setDefaultTimeout(60_000);

/** Flags in sentences that are not the gateway's, with the program that has them. */
const FLAGS_OF_OTHERS: Readonly<Record<string, string>> = {
  "--page-size": "SGLang",
  "--disaggregation-mode": "SGLang",
  "--disaggregation-bootstrap-port": "SGLang",
  "--enable-cache-report": "SGLang",
  "--kv-transfer-config": "vLLM",
  "--data-parallel-size": "vLLM",
  "--data-parallel-hybrid-lb": "vLLM",
  "--enable-prompt-tokens-details": "vLLM",
  "--stream-interval": "vLLM",
  "--exclude-tools-when-tool-choice-none": "vLLM",
  "--default-chat-template-kwargs": "vLLM",
  "--network": "docker",
  "--sections": "bench/run.ts",
  "--run": "test/faults",
};
/** What a usage is written with. */
const PLACEHOLDERS = /[[\]]|\.\.\.$/g;
/** A sentence may name a command without what it needs. */
const INCOMPLETE = /^Usage:|argument missing|missing required argument|there is no such file/;

/** The blocks of all pages that are of one of the kinds, with their places. */
function blocksOfKind(...kinds: readonly (keyof typeof BLOCK_KINDS)[]): (PageBlock & { readonly place: string })[] {
  return PAGES.flatMap((path) =>
    blocksOf(readPage(path))
      .filter(({ kind }) => kinds.some((one) => one === kind))
      .map((block) => ({ ...block, place: `${path}:${block.line}` })),
  );
}

test("every block of every page is of a kind that says how it is checked", () => {
  const others = PAGES.flatMap((path) =>
    blocksOf(readPage(path))
      .filter(({ kind }) => !Object.hasOwn(BLOCK_KINDS, kind))
      .map(({ line, kind }) => `${path}:${line}: ${kind === "" ? "no kind" : kind}`),
  );
  expect(others).toEqual([]);
  expect(blocksOfKind("sh", "sh background").length).toBeGreaterThan(30);
});

describe("what a page says of commands", () => {
  for (const path of PAGES) {
    const spans = codeSpansOf(readPage(path));
    const commands = spans.flatMap((span) => wordsFor("pointsman", span.replaceAll(PLACEHOLDERS, "")));
    const flags = spans.flatMap((span) => /^--[a-z][\w-]*\w(?![\w-])/.exec(span) ?? []);
    if (commands.length + flags.length === 0) continue;
    test(`${path}: each command of the gateway, and each flag, is there`, async () => {
      for (const words of commands) {
        const given = words.map((word) => (word === "N" ? "1" : word));
        const mistakes = (await mistakesOf(given)).filter((text) => !INCOMPLETE.test(text));
        expect([words, mistakes]).toEqual([words, []]);
      }
      const own = flags.filter((flag) => !Object.hasOwn(FLAGS_OF_OTHERS, flag));
      expect(await unknownFlags(own)).toEqual([]);
    });
  }
});

test("a wrong command, a flag that is not there and an unknown program are found", async () => {
  const text =
    "A=1 npx pointsman workers drain \\\n  'http://a b' --nope # not pointsman top\nX=$(pointsman top --once | sh)";
  expect(wordsFor("pointsman", text)).toEqual([
    ["workers", "drain", "http://a b", "--nope"],
    ["top", "--once"],
  ]);
  expect(shellCommands(text).slice(1)).toEqual([["X=$"], ["pointsman", "top", "--once"], ["sh"]]);
  expect(await mistakesOf(["workers", "drain", "http://a", "--nope"])).not.toEqual([]);
  expect(await mistakesOf(["workers", "bury", "http://a"])).not.toEqual([]);
  expect(await mistakesOf(["--worker-url", "http://a"])).not.toEqual([]);
  expect(await mistakesOf(["simulate", "--trade", "x"])).not.toEqual([]);
  expect(await unknownFlags(["--port", "--grace", "--mini-lb", "--no-sticky-sessions", "--nope", "--no-port"])).toEqual(
    ["--nope", "--no-port"],
  );
  expect(mistakeElsewhere(["rm", "-rf", "/"])).toBeDefined();
  expect(mistakeElsewhere(["npm", "run", "nothing"])).toBeDefined();
  expect(mistakeElsewhere(["helm", "install", "deploy/helm/pointsman", "--set", "discovery.nothing=1"])).toBeDefined();
  expect(mistakeElsewhere(["kubectl", "apply", "-f", "deploy/nothing.yaml"])).toBeDefined();
});

test("every link between pages leads to a file, and to a heading of it", () => {
  const broken = PAGES.flatMap((path) =>
    linksOf(readPage(path)).flatMap(({ path: to, anchor }) => {
      const target = to === "" ? path : join(dirname(path), to);
      if (!existsSync(join(ROOT, target))) return [`${path}: ${to}`];
      const isFound = anchor === "" || anchorsOf(readPage(target)).includes(anchor);
      return isFound ? [] : [`${path}: ${to}#${anchor}`];
    }),
  );
  expect(broken).toEqual([]);
});

/** A list of workers, as a file of workers has it, is that of a configuration. */
function asConfiguration(text: string): string {
  return Array.isArray(parse(text)) ? `initial_workers:\n${text.replaceAll(/^/gm, "  ")}` : text;
}

describe("a configuration in a page", () => {
  for (const { place, text } of blocksOfKind("yaml")) {
    test(`${place} is valid`, () => {
      const folder = mkdtempSync(join(tmpdir(), "pointsman-page-"));
      try {
        const file = join(folder, "pointsman.yaml");
        writeFileSync(file, asConfiguration(text).replaceAll(/(_file: *)([\w./-]+)$/gm, `$1${join(folder, "secret")}`));
        writeFileSync(join(folder, "secret"), "a-secret");
        const names = Array.from(text.matchAll(/(?<!\$)\$\{(\w+)\}/g), ([, name = ""]) => name);
        const env = Object.fromEntries(names.map((name) => [name, `value-of-${name}`]));
        expect(loadConfig({ file, env, flags: NO_FLAGS }).notices).toEqual([]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

test("the metrics in expressions of pages are metrics of the gateway", () => {
  const names = new Set<string>(Object.values(METRICS).map(({ name }) => name));
  const known = (name: string): boolean => names.has(name) || names.has(name.replace(/_(bucket|sum|count)$/, ""));
  const blocks = blocksOfKind("promql", "yaml prometheus");
  const used = blocks.flatMap(({ text }) => text.match(/pointsman_\w+/g) ?? []);
  expect(used.length).toBeGreaterThan(5);
  expect(used.filter((name) => !known(name))).toEqual([]);
  for (const { text } of blocksOfKind("yaml prometheus")) expect(typeof parse(text)).toBe("object");
});

test("JSON in pages is JSON, and TypeScript is an example that tests run", () => {
  for (const { text } of blocksOfKind("json")) expect(() => void JSON.parse(text)).not.toThrow();
  const folder = join(ROOT, "examples");
  const examples = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8").trim());
  for (const { text } of blocksOfKind("ts")) expect(examples).toContain(text.trim());
});

/** What is wrong with a command that is not run here, by what the checkout has; undefined where nothing is. */
function mistakeElsewhere(words: readonly string[]): string | undefined {
  const [program = "", ...rest] = words;
  const missing = rest.find(
    (word) => /^(deploy|docs|bench|test|examples|scripts)\//.test(word) && !existsSync(join(ROOT, word)),
  );
  if (missing !== undefined) return `there is no ${missing}`;
  switch (program) {
    case "npm":
      return npmMistake(rest);
    case "helm":
      return rest
        .flatMap((word, at) => (rest[at - 1] === "--set" ? [word] : []))
        .map(chartMistake)
        .find(Boolean);
    case "pointsman":
    case "kubectl":
    case "docker":
    case "systemctl":
    case "journalctl":
    case "bun":
      return undefined;
    default:
      return `nothing is known of ${program}: run it, or say here how it is checked`;
  }
}

function npmMistake([command = "", script = ""]: readonly string[]): string | undefined {
  const { scripts }: { scripts: object } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const name = command === "run" ? script : command;
  return name === "ci" || Object.hasOwn(scripts, name) ? undefined : `package.json has no script ${name}`;
}

/** Whether the chart has the value of `--set PATH=VALUE`; labels of a selector are free. */
function chartMistake(assignment: string): string | undefined {
  const path = assignment.split("=", 1)[0] ?? "";
  let at: unknown = parse(readFileSync(join(ROOT, "deploy/helm/pointsman/values.yaml"), "utf8"));
  for (const name of path.split(".")) {
    if (typeof at !== "object" || at === null) return `the chart has no value ${path}`;
    if (Object.keys(at).length === 0) return undefined;
    if (!Object.hasOwn(at, name)) return `the chart has no value ${path}`;
    at = Object.entries(at).find(([key]) => key === name)?.[1];
  }
  return undefined;
}

test("a command that cannot be run here names scripts, files, flags and values that are there", async () => {
  for (const { place, text } of blocksOfKind("sh cluster", "sh elsewhere")) {
    for (const words of shellCommands(text))
      expect([place, words, mistakeElsewhere(words)]).toEqual([place, words, undefined]);
    for (const words of wordsFor("pointsman", text))
      expect([place, words, await mistakesOf(words)]).toEqual([place, words, []]);
  }
  for (const { place, text } of blocksOfKind("sh engine"))
    expect([place, wordsFor("pointsman", text)]).toEqual([place, []]);
});

const helm = Bun.which("helm");

test.skipIf(helm === null)(
  helm === null
    ? "the chart is rendered with the values that pages set (skipped: no helm)"
    : "the chart is rendered with the values that pages set",
  () => {
    const commands = blocksOfKind("sh cluster").flatMap(({ text }) => shellCommands(text));
    const installs = commands.filter(([program, verb = ""]) => program === "helm" && /^(install|upgrade)$/.test(verb));
    expect(installs.length).toBeGreaterThan(1);
    for (const [, , ...words] of installs) {
      // What a release had before is not known here.
      const given = words.filter((word) => word !== "--reuse-values");
      const rendered = Bun.spawnSync([helm ?? "", "template", ...given], { cwd: ROOT });
      expect([given, rendered.exitCode, rendered.stderr.toString()]).toEqual([given, 0, expect.any(String)]);
      expect(rendered.stdout.toString()).toContain("kind: Deployment");
    }
  },
);

/** Runs a program in a world of its own. Resolves with what it printed, and its exit code. */
async function runApart(command: readonly string[]): Promise<[printed: string, code: number]> {
  const world = mkdtempSync(join(tmpdir(), "pointsman-world-"));
  try {
    const child = Bun.spawn([...WORLD_SETUP, world, ...command], { cwd: ROOT, stdout: "pipe", stderr: "inherit" });
    return [await child.stdout.text(), await child.exited];
  } finally {
    rmSync(world, { recursive: true });
  }
}

const isAble =
  process.getuid?.() === 0 && Bun.which("unshare") !== null && (await runApart(["curl", "--version"]))[1] === 0;

describe("the commands of a page, run in their order, do what it says", () => {
  for (const path of PAGES) {
    if (blocksOf(readPage(path)).every(({ kind }) => !/^(sh|sh background|python)$/.test(kind))) continue;
    test.skipIf(!isAble)(
      isAble ? path : `${path} (skipped: needs root, network namespaces and curl)`,
      async () => {
        expect(await runApart([process.execPath, "test/support/run-page.ts", path])).toEqual(["", 0]);
      },
      240_000,
    );
  }
});

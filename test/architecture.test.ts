import { describe, expect, test } from "bun:test";
import { basename, dirname, join } from "node:path";
import { ENGINES, engineNamed } from "../src/engine/engines.ts";
import { POLICY_NAMES } from "../src/policy/policy-names.ts";
import { ENDPOINTS, PARSE_ENDPOINTS } from "../src/protocol/endpoints.ts";
import { THREAD_MODULES } from "../src/util/thread-url.ts";
import { exportsOf, importCycles, readSources, unreachable } from "./support/source-graph.ts";

/** Which rooms, the folders of src/, each room may import. The table of docs/architecture.md says the same. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "config",
    "context",
    "engine-sim",
    "errors",
    "keys",
    "observability",
    "policy/policies.ts",
    "policy/policy-names.ts",
    "reload",
    "server/server.ts",
    "server/serving-units.ts",
    "simulate",
    "threads/spawn-worker.ts",
    "threads/thread-pool.ts",
    "util",
  ],
  config: ["errors", "policy/glob.ts", "policy/policies.ts", "policy/policy-names.ts", "util", "worker/worker-spec.ts"],
  context: [
    "keys",
    "config",
    "engine",
    "errors",
    "observability",
    "parser",
    "policy",
    "reload",
    "router",
    "server",
    "tokenizer",
    "transport",
    "util",
    "worker",
    "kubernetes",
    "kv-events",
  ],
  engine: ["errors", "protocol", "tokenizer", "transport", "util", "worker"],
  "engine-sim": ["protocol", "util"],
  errors: [],
  kubernetes: ["observability", "util", "worker"],
  "kv-events": ["observability", "policy", "protocol", "util", "worker"],
  keys: ["errors", "observability", "policy/glob.ts", "protocol/limit-headers.ts", "util"],
  observability: ["util"],
  parser: ["errors", "protocol", "util"],
  policy: ["errors", "util"],
  protocol: ["errors", "util"],
  reload: ["config", "errors", "observability", "util"],
  router: [
    "engine",
    "errors",
    "observability",
    "parser",
    "policy",
    "protocol",
    "tokenizer",
    "transport",
    "util",
    "worker",
  ],
  server: [
    "keys",
    "config",
    "engine",
    "errors",
    "observability",
    "parser",
    "protocol",
    "reload",
    "router",
    "transport",
    "util",
    "worker",
  ],
  simulate: [
    "context/load-policy-module.ts",
    "errors",
    "policy",
    "util",
    "worker/failed-load.ts",
    "worker/load-ledger.ts",
  ],
  threads: [
    "keys",
    "config",
    "context",
    "errors",
    "observability",
    "policy",
    "protocol",
    "reload",
    "router",
    "server",
    "tokenizer",
    "transport",
    "util",
    "worker",
  ],
  tokenizer: ["errors", "protocol", "util"],
  transport: ["errors", "observability", "util"],
  util: [],
  worker: ["errors", "observability", "transport", "util"],
};

/** What the rooms inside a room may import of it. A file that stands in the outer room itself may import any of them. */
const ROOM_MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "protocol/json": [],
  "tokenizer/bpe": [],
  "tokenizer/decode": ["tokenizer/bpe"],
  "tokenizer/jinja": [],
  "tokenizer/load": ["tokenizer/bpe", "tokenizer/chat-templates.ts", "tokenizer/decode", "tokenizer/tokenizer.ts"],
  "tokenizer/template": ["tokenizer/jinja"],
};

const root = join(import.meta.dir, "../src");
const sources = await readSources(root);
const docs = await Bun.file(join(import.meta.dir, "../docs/architecture.md")).text();

/** `cli/serve.ts` is in the room `cli`; `main.ts` is in none. */
function roomOf(path: string): string | undefined {
  return path.includes("/") ? path.split("/")[0] : undefined;
}

interface Arrow {
  readonly file: string;
  readonly from: string;
  /** Path below src/. */
  readonly to: string;
}

const all: readonly Arrow[] = sources.flatMap(({ path, imports }) => {
  const from = roomOf(path);
  return from === undefined ? [] : imports.map((to) => ({ file: path, from, to }));
});

describe("folders import only what the design lets them", () => {
  for (const folder of Object.keys(MAY_IMPORT)) {
    test(folder, () => {
      const allowed = MAY_IMPORT[folder] ?? [];
      const wrong = all.filter(({ from, to }) => {
        if (from !== folder || to.startsWith(`${folder}/`)) return false;
        return !allowed.some((name) => to === name || to.startsWith(`${name}/`));
      });
      expect(wrong.map(({ file, to }) => `${file} -> ${to}`)).toEqual([]);
    });
  }

  test("and every folder has its row", () => {
    expect([...new Set(all.map(({ from }) => from))].filter((folder) => !(folder in MAY_IMPORT))).toEqual([]);
  });
});

describe("rooms import only what the design lets them of their own folder", () => {
  for (const [room, allowed] of Object.entries(ROOM_MAY_IMPORT)) {
    test(room, () => {
      const own = all.filter(({ file, to }) => file.startsWith(`${room}/`) && to.startsWith(`${dirname(room)}/`));
      const wrong = own.filter(
        ({ to }) => ![room, ...allowed].some((name) => to === name || to.startsWith(`${name}/`)),
      );
      expect(wrong.map(({ file, to }) => `${file} -> ${to}`)).toEqual([]);
      expect(all.some(({ file }) => file.startsWith(`${room}/`))).toBe(true);
    });
  }
});

test("docs/architecture.md names each room inside a room", () => {
  const inner = new Set(sources.map(({ path }) => dirname(path)).filter((folder) => folder.includes("/")));
  // Engines are listed in one place, and their folders have the same files.
  const named = [...inner].filter((folder) => !folder.startsWith("engine/") && !folder.includes("/generated"));
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((folder) => !docs.includes(`${basename(folder)}/\``))).toEqual([]);
});

describe("docs/architecture.md names each room", () => {
  const rooms = [...new Set(all.map(({ from }) => from))].sort();

  test("there are rooms to look at", () => {
    expect(rooms.length).toBeGreaterThan(10);
  });

  for (const room of rooms) {
    test(`${room}, with what it may import`, () => {
      const row = docs
        .split("\n")
        .find((line) => line.startsWith("|") && line.split("|")[1]?.trim() === `\`${room}/\``);
      const column = row?.split("|")[3]?.trim() ?? "";
      const said = column === "nothing" ? [] : column.split(", ").map((name) => name.replaceAll("`", ""));
      expect(said.toSorted()).toEqual([...(MAY_IMPORT[room] ?? [])].toSorted());
    });
  }
});

test("no file imports itself through others, types included", () => {
  expect(importCycles(sources)).toEqual([]);
});

describe("how much a file knows and says", () => {
  const MAX_IMPORTS = 20;
  /** The one place that makes everything long-lived and puts it together. */
  const COMPOSITION_ROOT = "context/app-context.ts";

  test(`a file imports at most ${MAX_IMPORTS} others, except the composition root`, () => {
    const wide = sources.filter(({ path, imports }) => imports.length > MAX_IMPORTS && path !== COMPOSITION_ROOT);
    expect(wide.map(({ path, imports }) => `${path}: ${imports.length}`)).toEqual([]);
  });

  const MAX_LINES = 300;
  /** Longer files, each with the reason why it is one. Generated files are not counted. */
  const LONG: Readonly<Record<string, string>> = {
    "config/schema.ts": "a table: one entry for each option",
    "config/launch-flags.ts": "a table: one row for each flag of other gateways",
    "errors/errors.ts": "a table: one row for each error",
    "observability/metrics-table.ts": "a table: one row for each metric",
    "tokenizer/jinja/expression-parser.ts": "one grammar: its rules call each other",
    "transport/grpc/call.ts": "one state machine, drawn in it",
    "transport/http1-server/client-connection.ts": "one state machine, drawn in it",
  };

  test(`a file has at most ${MAX_LINES} lines, except those with a reason`, () => {
    const long = sources.filter(
      ({ path, lines }) => lines > MAX_LINES && !path.includes("/generated/") && !(path in LONG),
    );
    expect(long.map(({ path, lines }) => `${path}: ${lines}`)).toEqual([]);
  });

  test("each file with a reason to be long is long", () => {
    const long = new Set(sources.filter(({ lines }) => lines > MAX_LINES).map(({ path }) => path));
    expect(Object.keys(LONG).filter((path) => !long.has(path))).toEqual([]);
  });

  const exported = sources.filter(({ path }) => !path.includes("/generated/")).flatMap(exportsOf);

  /** The share of exports of these kinds that have a docstring. */
  function documentedShare(...kinds: readonly string[]): number {
    const some = exported.filter(({ kind }) => kinds.includes(kind));
    return some.filter(({ isDocumented }) => isDocumented).length / some.length;
  }

  test("nearly each class and function says in a docstring what its name does not", () => {
    expect(documentedShare("class", "function", "function*")).toBeGreaterThan(0.95);
  });

  test("most types and constants do", () => {
    expect(documentedShare("interface", "type", "const")).toBeGreaterThan(0.7);
  });
});

test("no file outside policy/ names a policy: adding one with its options touches policy/ alone", () => {
  /** Where a name may stand, and why. */
  const MAY_NAME: Readonly<Record<string, string>> = {
    "config/launch-flags.ts": "says which policy takes the place of another gateway's flag",
    "config/schema.ts": "has the default",
    "engine/openai/connectors.ts": "has a connector of the name of one",
    "simulate/baselines/": "policies of other gateways, which have names of their own",
  };
  const named = sources
    .filter(({ path }) => !["policy/", ...Object.keys(MAY_NAME)].some((place) => path.startsWith(place)))
    .flatMap(({ path, text }) =>
      // A name of one word is a word as well: only as a text by itself is it the policy.
      POLICY_NAMES.filter((name) =>
        new RegExp(name.includes("_") ? `\\b${name}\\b` : `["']${name}["']`).test(text),
      ).map((name) => `${path} names ${name}`),
    );
  expect(named).toEqual([]);
});

test("the program reaches every file of src/", () => {
  const entries = ["main.ts", "executable.ts", "policy/policy-module.ts", ...THREAD_MODULES];
  const unused = unreachable(sources, entries).filter((path) => !path.includes("/generated/"));
  expect(unused).toEqual([]);
});

describe("the search for cycles", () => {
  const file = (path: string, ...imports: string[]) => ({ path, imports });

  test("finds files that import each other through a third", () => {
    const files = [file("a", "b"), file("b", "c"), file("c", "a", "d"), file("d")];
    expect(importCycles(files)).toEqual([["a", "b", "c"]]);
  });

  test("finds each of two cycles that one file joins", () => {
    const files = [file("top", "a", "c"), file("a", "b"), file("b", "a"), file("c", "d"), file("d", "c")];
    expect(importCycles(files)).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
  });

  test("takes two ways to the same file for no cycle", () => {
    expect(importCycles([file("a", "b", "c"), file("b", "d"), file("c", "d"), file("d")])).toEqual([]);
  });
});

test("a file that no chain of imports reaches is found", () => {
  const files = [
    { path: "main", imports: ["used"] },
    { path: "used", imports: [] },
    { path: "dead", imports: ["used"] },
  ];
  expect(unreachable(files, ["main"])).toEqual(["dead"]);
});

describe("an endpoint's name stands in its row, in the room of the APIs, and nowhere else", () => {
  // The simulated engine stands for a worker: it is not asked through the rows.
  const outside = sources.filter(({ path }) => !path.startsWith("protocol/") && !path.startsWith("engine-sim/"));
  /** Names that are also words for something else: kinds of work, members of a body. */
  const WORDS = new Set<string>(["generate", "messages", "tokenize"]);
  const names = new Set<string>([...ENDPOINTS, ...PARSE_ENDPOINTS].map(({ name }) => name));
  const found = (pattern: RegExp): readonly string[] =>
    outside.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([match]) => `${path}: ${match}`));

  test("no name is written outside", () => {
    const written = [...names].filter((name) => !WORDS.has(name)).join("|");
    expect(found(new RegExp(`["'\`](?:${written})["'\`]`, "g"))).toEqual([]);
  });

  test("a name that is also another word is not compared or looked up outside", () => {
    const words = [...WORDS].join("|");
    expect([...WORDS].filter((word) => !names.has(word))).toEqual([]);
    expect(found(new RegExp(`\\bname\\b\\s*[!=]==?\\s*"(?:${words})"|\\["(?:${words})",`, "g"))).toEqual([]);
  });

  test("only the record of a request takes the name, for metrics and logs", () => {
    expect(found(/\bendpoint\.name\b/g)).toEqual([
      "server/data-plane.ts: endpoint.name",
      "server/refusals.ts: endpoint.name",
    ]);
    expect(found(/\{[^{}]*\bname\b[^{}]*\}\s*(?::\s*Endpoint\b|=\s*(?:\w+\.)*endpoint\b)/g)).toEqual([]);
  });
});

test("no file only passes on what others export", () => {
  const barrels = sources.filter(({ text }) => {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").trim();
    return code !== "" && code.split(";").every((statement) => /^\s*(export\s.*\sfrom\s.*)?$/s.test(statement));
  });
  expect(barrels.map(({ path }) => path)).toEqual([]);
});

describe("the name of an engine", () => {
  const names = ENGINES.filter((engine) => engine !== engineNamed(undefined)).flatMap(({ name, title, probe }) => [
    name,
    title,
    ...probe.owners,
  ]);
  /** Where a text outside of `engine/` may have one, with the reason. */
  const MAY_NAME: Readonly<Record<string, string>> = {
    "cli/read-words.ts": "a launch flag of another gateway has one",
    "config/": "descriptions of options and launch flags of other gateways have them",
    "engine-sim/": "it plays engines, and knows nothing of the gateway",
    "observability/compat-table.ts": "metrics of other programs are called after them",
    "protocol/dialect.ts": "the API of SGLang is called after it",
    "protocol/sglang/": "the API of SGLang is called after it",
    "simulate/baselines/": "formulas of other gateways are called after them, some of which come with an engine",
  };
  const TEXT_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|\/\/.*/g;

  /** The texts of a file that have the name of an engine; paths of imports are none. */
  function namesIn(code: string): string[] {
    return (code.match(TEXT_OR_COMMENT) ?? [])
      .filter((text) => /^["'`]/.test(text) && !/^"\.\.?\//.test(text))
      .filter((text) => names.some((name) => text.toLowerCase().includes(name.toLowerCase())));
  }

  test("is found in texts, and not in comments and imports", () => {
    const code = `import { a } from "./vllm/a.ts"; // "sglang"\n/** "trtllm" */ if (engine === "vllm") throw \`no \${'SGLang'}\`;`;
    expect(namesIn(code)).toEqual(['"vllm"', "`no ${'SGLang'}`"]);
  });

  test("stands in no text outside of its room", () => {
    const found = sources
      .filter(({ path }) => !path.startsWith("engine/") && !path.includes("/generated/"))
      .filter(({ path }) => !Object.keys(MAY_NAME).some((place) => path.startsWith(place)))
      .flatMap(({ path, text }) => namesIn(text).map((name) => `${path}: ${name}`));
    expect(found).toEqual([]);
  });

  test("has a reason wherever else it stands", () => {
    const named = sources.filter(({ text }) => namesIn(text).length > 0).map(({ path }) => path);
    expect(Object.keys(MAY_NAME).filter((place) => !named.some((path) => path.startsWith(place)))).toEqual([]);
  });
});

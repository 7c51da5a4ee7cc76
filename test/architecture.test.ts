import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { dirname, join, relative } from "node:path";

/**
 * Who may import whom among the folders of src/, as in docs/architecture.md. An import of a folder that is not named
 * here is an arrow that the design does not have.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "config",
    "context",
    "engine-sim",
    "errors",
    "observability",
    "server/front.ts",
    "server/server.ts",
    "threads/spawn-worker.ts",
    "threads/thread-pool.ts",
    "util",
  ],
  config: ["errors", "util"],
  context: [
    "config",
    "errors",
    "observability",
    "parser",
    "policy",
    "router",
    "tokenizer",
    "transport",
    "util",
    "worker",
  ],
  "engine-sim": ["protocol", "util"],
  errors: [],
  observability: ["util"],
  parser: ["errors", "protocol", "util"],
  policy: ["errors", "util"],
  protocol: ["errors", "util"],
  router: ["errors", "observability", "parser", "policy", "protocol", "tokenizer", "transport", "util", "worker"],
  server: ["config", "errors", "observability", "parser", "protocol", "router", "transport", "util", "worker"],
  threads: [
    "config",
    "context",
    "errors",
    "observability",
    "policy",
    "protocol",
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

/** The same for rooms inside a folder: what of their own folder they may import. A file of the folder itself may import any. */
const ROOM_MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "protocol/json": [],
  "tokenizer/bpe": [],
  "tokenizer/decode": ["tokenizer/bpe"],
  "tokenizer/jinja": [],
  "tokenizer/load": ["tokenizer/bpe", "tokenizer/chat-templates.ts", "tokenizer/decode", "tokenizer/tokenizer.ts"],
  "tokenizer/template": ["tokenizer/jinja"],
};

const root = join(import.meta.dir, "../src");
const IMPORT = /(?:from|import)\s*\(?\s*"(\.[^"]+)"/g;

interface Arrow {
  readonly file: string;
  readonly from: string;
  /** Path below src/. */
  readonly to: string;
}

async function arrows(): Promise<Arrow[]> {
  const found: Arrow[] = [];
  for await (const file of new Glob("**/*.ts").scan(root)) {
    if (file.endsWith(".test.ts") || file === "main.ts") continue;
    const text = await Bun.file(join(root, file)).text();
    for (const match of text.matchAll(IMPORT)) {
      const to = relative(root, join(root, dirname(file), match[1] ?? ""));
      // The package's own manifest is no folder of ours. What else is outside is no part of the product.
      if (to === "../package.json") continue;
      found.push({ file, from: file.split("/")[0] ?? "", to });
    }
  }
  return found;
}

const all = await arrows();

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

test("there are arrows to look at", () => {
  expect(all.length).toBeGreaterThan(100);
});

test("no file only passes on what others export", async () => {
  const barrels: string[] = [];
  for await (const file of new Glob("**/*.ts").scan(root)) {
    const code = (await Bun.file(join(root, file)).text()).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").trim();
    if (code !== "" && code.split(";").every((statement) => /^\s*(export\s.*\sfrom\s.*)?$/s.test(statement)))
      barrels.push(file);
  }
  expect(barrels).toEqual([]);
});

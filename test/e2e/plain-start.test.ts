import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { ELSEWHERE } from "../support/process.ts";
import { loadedFrom, readSources } from "../support/source-graph.ts";

const ROOT = join(import.meta.dir, "../..");
const SRC = join(ROOT, "src");

/** What no gateway needs that speaks plain HTTP to its clients and workers: most of its memory would be their code. */
const OFF: readonly RegExp[] = [
  /node_modules\/(yaml|jose|tokenizers|@bufbuild)\//,
  /src\/(engine-sim|simulate|kubernetes|parser|threads)\//,
  /src\/tokenizer\/(?!tokenizer-registry\.ts)/,
  /src\/transport\/grpc\/(generated|connection|grpc-transport|call|channel)/,
  /src\/engine\/\w+\/codec\.ts/,
  /src\/router\/grpc\/(grpc-|answer-)/,
  /src\/router\/http\/parsed-/,
  /src\/kv-events\/(?!kv-events\.ts|zmtp\/tcp\.ts)/,
  /src\/keys\/(key-set|jwt-verifier|sqlite-key-store)\.ts/,
  /src\/server\/api\/parse\.ts/,
  /src\/cli\/(check|demo|engine|simulate|keys|top|workers|ask-gateway)\.ts/,
];

/** Modules of the runtime that take 1 to 6 MB each. */
const HEAVY = [
  "child_process",
  "crypto",
  "http",
  "http2",
  "https",
  "net",
  "stream",
  "stream/promises",
  "tls",
  "tty",
  "zlib",
];

const JSON_TYPE = { "content-type": "application/json" };

let engine: Awaited<ReturnType<typeof startEngine>>;
beforeAll(async () => {
  engine = await startEngine({ model: "sim-1" });
});
afterAll(() => engine[Symbol.asyncDispose]());

test("a gateway that has answered a request over HTTP has loaded nothing of the features that are off", async () => {
  const loaded = await modulesAfterOneRequest();
  // Else the list would say nothing.
  expect(loaded.some((path) => path.endsWith("src/router/http/http-sender.ts"))).toBe(true);
  expect(loaded.filter((path) => OFF.some((pattern) => pattern.test(path)))).toEqual([]);
});

test.each(["cli/serve.ts", "threads/thread-main.ts"])(
  "%s imports nothing heavy of the runtime, however many files are between them",
  async (entry) => {
    const imported = loadedFrom(await readSources(SRC), entry);
    expect(imported.has("router/http/http-sender.ts")).toBe(true);
    expect(HEAVY.filter((name) => imported.has(`node:${name}`))).toEqual([]);
  },
);

test("a serving thread imports nothing of the features that are off", async () => {
  const imported = loadedFrom(await readSources(SRC), "threads/thread-main.ts");
  const paths = [...imported]
    .filter((path) => !path.startsWith("threads/"))
    .map((path) => (path.endsWith(".ts") ? `src/${path}` : `node_modules/${path}/`));
  expect(paths.filter((path) => OFF.some((pattern) => pattern.test(path)))).toEqual([]);
});

/** The files that the program has loaded once it has answered a request. */
async function modulesAfterOneRequest(): Promise<readonly string[]> {
  const told = Promise.withResolvers<readonly string[]>();
  const preload = join(ROOT, "test/support/tell-modules.ts");
  const flags = ["--host", "127.0.0.1", "--port", "0", "--prometheus-port", "0", "--worker-urls", engine.url];
  const child = Bun.spawn([process.execPath, "--preload", preload, join(SRC, "main.ts"), ...flags], {
    cwd: ELSEWHERE,
    stdout: "pipe",
    stderr: "inherit",
    ipc: (message: readonly string[]) => told.resolve(message),
  });
  try {
    const url = await listening(child.stdout);
    while ((await fetch(`${url}/readiness`)).status !== 200) await Bun.sleep(20);
    const body = JSON.stringify({ model: "sim-1", messages: [{ role: "user", content: "hello" }] });
    const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers: JSON_TYPE, body });
    expect(answer.status).toBe(200);
    child.send("which modules?");
    return await told.promise;
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

async function listening(output: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const bytes of output) {
    text += Buffer.from(bytes).toString();
    const [, url] = /"url":"(http[^"]+)","policy"/.exec(text) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error(`it did not listen: ${text}`);
}

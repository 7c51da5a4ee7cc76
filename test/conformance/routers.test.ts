import { expect, test } from "bun:test";
import { join } from "node:path";
import { ENDPOINTS } from "../../src/protocol/endpoints.ts";
import { post } from "../support/gateway.ts";
import { overTargets, type Target } from "./targets.ts";

const PAGE = await Bun.file(join(import.meta.dir, "../../docs/routers.md")).text();

/** A request that each route takes. */
const BODIES: Readonly<Record<string, object>> = {
  "/v1/chat/completions": { messages: [{ role: "user", content: "Where?" }] },
  "/v1/completions": { prompt: "Where?" },
  "/v1/embeddings": { input: "Where?" },
  "/v1/rerank": { query: "Where?", documents: ["here", "there"] },
  "/rerank": { query: "Where?", documents: ["here", "there"] },
  "/v2/rerank": { query: "Where?", documents: ["here", "there"] },
  "/v1/classify": { input: "Where?" },
  "/classify": { input: "Where?" },
  "/v1/score": { text_1: "Where?", text_2: "here" },
  "/score": { text_1: "Where?", text_2: "here" },
  "/pooling": { input: "Where?" },
  "/v1/responses": { input: "Where?" },
  "/v1/responses/input_tokens": { input: "Where?" },
  "/v1/messages": { max_tokens: 8, messages: [{ role: "user", content: "Where?" }] },
  "/v1/messages/count_tokens": { messages: [{ role: "user", content: "Where?" }] },
  "/generate": { text: "Where?" },
  "/tokenize": { prompt: "Where?" },
  "/detokenize": { tokens: [40, 41] },
};

/** The table of the page: by route, what stands under each column. */
const TABLE: ReadonlyMap<string, ReadonlyMap<string, string>> = tableOf(PAGE.split("\n"));
/** What the numbers in it stand for. */
const REASONS = new Map(
  [...PAGE.matchAll(/^(\d)\. `(.+)`$/gm)].map(([, number = "", reason = ""]) => [number, reason]),
);

function tableOf(lines: readonly string[]): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const from = lines.findIndex((line) => line.startsWith("| route |"));
  const cells = (line = ""): string[] =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("`", ""));
  const [, ...columns] = cells(lines[from]);
  const rows = lines.slice(from + 2, lines.indexOf("", from)).map(cells);
  return new Map(
    rows.map(([route = "", ...row]) => [route, new Map(columns.map((column, at) => [column, row[at] ?? ""]))]),
  );
}

function columnOf({ kind, engine }: Target): string {
  const columns = {
    http: "HTTP",
    http_pd: engine === "sglang" ? "HTTP p/d, SGLang" : "HTTP p/d, vLLM",
    grpc: "gRPC",
    grpc_pd: "gRPC p/d",
  };
  return columns[kind];
}

test("the page has a row for each inference route, and names those that no worker has a part in", () => {
  const byRouters = ENDPOINTS.filter(({ answeredBy }) => answeredBy === "worker");
  expect([...TABLE.keys()]).toEqual(byRouters.map(({ path }) => path));
  const byNoWorker = ENDPOINTS.filter(({ answeredBy }) => answeredBy !== "worker");
  for (const { path } of byNoWorker) expect(PAGE).toContain(`\`${path}\``);
});

overTargets((target) => {
  for (const [path, row] of TABLE) {
    test(`${path} is as the page says`, async () => {
      const cell = row.get(columnOf(target())) ?? "";
      const response = await post(target().gateway.url + path, { model: target().model, ...BODIES[path] });
      const text = await response.text();
      if (cell === "yes") {
        // Simulated engines do not know all routes: the gateway says that it asked them.
        expect(response.status).toBeOneOf(target().tiny ? [200] : [200, 501]);
        if (response.status === 501) expect(text).toContain(`the worker of this model does not serve ${path}`);
        return;
      }
      const number = /^no \((\d)\)$/.exec(cell)?.[1] ?? "";
      const [before = "", after = ""] = (REASONS.get(number) ?? `no reason ${cell}`)
        .replace("PATH", path)
        .split("CONNECTOR");
      const { error } = JSON.parse(text) as { error: { code: string; message: string } };
      expect([response.status, error.message]).toEqual([501, error.message]);
      expect(error.message).toStartWith(before);
      expect(error.message).toEndWith(after);
    });
  }
});

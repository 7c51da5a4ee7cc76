import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metrics } from "./metrics.ts";
import type { RecordedRequest } from "./recorded-request.ts";
import { Recording } from "./recording.ts";

const dir = mkdtempSync(join(tmpdir(), "recording-"));
afterAll(() => rmSync(dir, { recursive: true }));

const REQUEST: RecordedRequest = {
  at: 5000,
  durationMs: 812.345,
  model: "m",
  isStream: true,
  inputTokens: 64,
  outputTokens: 3,
  promptBytes: 256,
  hashes: Int32Array.of(123_456_789, -77),
  sessionHash: 987_654_321,
};

interface Recorded {
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
  readonly page: string;
}

async function recorded(maxBytes: number, act: (recording: Recording) => void): Promise<Recorded> {
  const path = join(dir, `${crypto.randomUUID()}.jsonl`);
  const warnings: string[] = [];
  const ignore = (): undefined => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    warn: (_fields: object, text = "") => void warnings.push(text),
    error: ignore,
  };
  const metrics = new Metrics();
  {
    await using recording = await Recording.open({
      path,
      maxBytes,
      blockEnds: [128, 256],
      logger,
      metrics,
      wallNow: () => 4000,
    });
    act(recording);
  }
  return { lines: readFileSync(path, "utf8").trimEnd().split("\n"), warnings, page: metrics.expose([]) };
}

test("the first line says what the file is, and each further one is a request", async () => {
  const { lines } = await recorded(10_000, (recording) => recording.record(REQUEST));
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { format: "pointsman-recording", version: 1, started: "1970-01-01T00:00:04.000Z", block_ends: [128, 256] },
    {
      timestamp: 1000,
      duration_ms: 812.3,
      input_length: 64,
      output_length: 3,
      hash_ids: [0, 1],
      prompt_bytes: 256,
      stream: true,
      model: "m",
      session: 0,
    },
  ]);
});

test("no hash is in the file: blocks and sessions have numbers that say only what is equal", async () => {
  const { lines } = await recorded(10_000, (recording) => {
    recording.record(REQUEST);
    recording.record({ ...REQUEST, hashes: Int32Array.of(123_456_789, 42), sessionHash: 1 });
    recording.record({ ...REQUEST, sessionHash: undefined });
  });
  const requests = lines.slice(1).map((line): unknown => JSON.parse(line));
  expect(requests).toMatchObject([
    { hash_ids: [0, 1], session: 0 },
    { hash_ids: [0, 2], session: 1 },
    { hash_ids: [0, 1] },
  ]);
  for (const hash of ["123456789", "-77", "987654321"]) expect(lines.join("\n")).not.toContain(hash);
});

test("a file that is full takes no more; the log says it once, and the metric counts what is missing", async () => {
  const { lines, warnings, page } = await recorded(400, (recording) => {
    for (let request = 0; request < 10; request += 1) recording.record(REQUEST);
  });
  const kept = lines.length - 1;
  expect(kept).toBeGreaterThan(0);
  expect(lines.join("\n").length).toBeLessThanOrEqual(400);
  expect(warnings).toEqual(["the recording has its full size; further requests are not recorded"]);
  expect(page).toContain(`pointsman_recorded_requests_total{outcome="kept"} ${kept}`);
  expect(page).toContain(`pointsman_recorded_requests_total{outcome="full"} ${10 - kept}`);
});

test("what a thread has lost counts as dropped, and the log says it once", async () => {
  const { warnings, page } = await recorded(10_000, (recording) => {
    recording.lost(0);
    recording.lost(2);
    recording.lost(3);
  });
  expect(warnings).toEqual(["requests are missing in the recording: the disk is too slow or full"]);
  expect(page).toContain('pointsman_recorded_requests_total{outcome="dropped"} 5');
});

test("a model's name of any characters keeps the line JSON in ASCII", async () => {
  const { lines } = await recorded(10_000, (recording) => recording.record({ ...REQUEST, model: "modèle 🚂" }));
  expect(lines[1]).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(lines[1] ?? "")).toMatchObject({ model: "modèle 🚂" });
});

import { expect, test } from "bun:test";
import { join } from "node:path";
import { overTargets } from "./targets.ts";

const PYTHON = process.env["POINTSMAN_PYTHON_OPENAI"];
const SCRIPT = join(import.meta.dir, "openai_sdk.py");
const CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Crewe Junction"}}\n</tool_call>';
const NOT_SERVED = ["InternalServerError", 501, "not_implemented"];

if (PYTHON === undefined) {
  console.warn("skipped: Python's openai SDK: POINTSMAN_PYTHON_OPENAI names no Python that has it");
}

interface Seen {
  readonly whole: readonly string[];
  readonly streamed: readonly string[];
  readonly usage: number;
  readonly called: unknown;
  readonly called_in_stream: unknown;
  readonly completions: readonly string[];
  readonly responses: unknown;
  readonly embeddings: unknown;
  readonly unknown: unknown;
}

overTargets((target) => {
  test.skipIf(PYTHON === undefined)("Python's SDK gets what it asks for, whole and streamed", async () => {
    const { gateway, model, refused } = target();
    const python = Bun.spawn([PYTHON ?? "", SCRIPT, `${gateway.url}/v1`, model, CALL], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const seen = JSON.parse(await new Response(python.stdout).text()) as Seen;
    expect(seen.whole.length).toBe(2);
    expect(new Set([...seen.whole, ""]).size).toBe(3);
    expect(seen.streamed).toEqual([...seen.whole]);
    expect(seen.usage).toBeGreaterThan(0);
    const call = [["get_weather", { place: "Crewe Junction" }]];
    expect([seen.called, seen.called_in_stream]).toEqual([call, call]);
    expect(new Set([...seen.completions, ""]).size).toBe(3);
    if (refused.includes("/v1/responses")) expect(seen.responses).toEqual(NOT_SERVED);
    else expect(seen.responses).toBeString();
    expect(seen.embeddings).toEqual(refused.includes("/v1/embeddings") ? NOT_SERVED : [true, true]);
    expect(seen.unknown).toEqual(["NotFoundError", 404, "model_not_found"]);
  });
});

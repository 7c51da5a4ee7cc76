import { afterAll, beforeAll, expect, test } from "bun:test";
import type { EngineOptions, EngineRole } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import type { JsonObject } from "../../src/protocol/json/json.ts";
import { CHAT } from "./apis.ts";
import { ask, repeat, tally } from "./ask.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--dp-aware"]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** SGLang whose server info has this number of ranks. */
function saying(dpSize: JsonObject[string]): EngineRole {
  return {
    info: { routes: {}, serverArgs: { dp_size: dpSize }, counters: () => [] },
    serve: async (_request, run, handler) => handler(run),
  };
}

async function workersAt(url: string): Promise<string[]> {
  const { workers } = (await (await fetch(`${gateway.url}/workers`)).json()) as {
    workers: { dp_base_url: string; url: string }[];
  };
  return workers.filter((worker) => worker.dp_base_url === url).map((worker) => worker.url);
}

async function remove(address: string): Promise<void> {
  await fetch(`${gateway.url}/workers/${encodeURIComponent(address)}?wait=true`, { method: "DELETE" });
}

test("row 172: a number of ranks that no engine has brings no worker, and the engine serves without a rank", async () => {
  const said = [0, -1, 1.5, "8", null, 1025, 1e9, Number.MAX_SAFE_INTEGER];
  for (const [index, dpSize] of said.entries()) {
    const model = `m170-${index}`;
    await using engine = await startEngine({ kind: "sglang", model, role: saying(dpSize) });
    await using _served = await gateway.serve(model, [engine.url]);
    expect(await workersAt(engine.url)).toEqual([`${engine.url}@0`]);
    expect((await ask(gateway, CHAT, model)).status).toBe(200);
    expect(
      engine.requests.map(({ headers, body }) => [headers["x-data-parallel-rank"], body.includes("dp_rank")]),
    ).toEqual([[undefined, false]]);
  }
  const told = (): number => gateway.output.split("more than 1024 data-parallel ranks").length - 1;
  await eventually(() => told() === 3, "the three numbers that are too large are in the log");
  observe(172, `${said.length} numbers: one worker each, no rank named, ${told()} told in the log`);
});

test("row 173: a rank that the engine refuses is its own trouble, and dp_size keeps it out", async () => {
  const refusing: EngineOptions = {
    kind: "vllm",
    model: "m171",
    dpSize: 4,
    respond: ({ rank }) =>
      rank < 2
        ? undefined
        : Response.json({ message: `data_parallel_rank ${rank} is out of range [0, 2)` }, { status: 400 }),
  };
  await using engine = await startEngine(refusing);
  await using _served = await gateway.serve("m171", [engine.url]);
  const replies = await repeat(8, 1, () => ask(gateway, CHAT, "m171"));
  expect(tally(replies.map(({ status }) => status))).toEqual({ "200": 4, "400": 4 });
  expect(engine.requests.length).toBe(8);
  await remove(engine.url);
  const asked = engine.requests.length;
  const added = await fetch(`${gateway.url}/workers?wait=true`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ url: engine.url, model_id: "m171", dp_size: 2 }),
  });
  expect(added.status).toBe(201);
  const served = await repeat(8, 1, () => ask(gateway, CHAT, "m171"));
  expect(tally(served.map(({ status }) => status))).toEqual({ "200": 8 });
  expect(engine.requests.slice(asked).filter(({ rank }) => rank > 1)).toEqual([]);
  await remove(engine.url);
  observe(173, "4 of 8 answered, the others 400 in the engine's words; with dp_size 2, 8 of 8");
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chunk, deltaChunk, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";

const CHAT = "/v1/chat/completions";
const JSON_HEAD = "content-type: application/json\r\n";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--drain-timeout-secs", "10"]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

interface WorkerList {
  readonly workers: readonly { readonly id: string; readonly url: string; readonly status: string }[];
  readonly total: number;
}

async function list(): Promise<WorkerList> {
  return (await (await fetch(`${gateway.url}/workers`)).json()) as WorkerList;
}

const PACED = { instant: false, timing: { decodeMs: 20, decodeMsPerRunning: 0 } } as const;

/** A stream of about a second, whose text is read in the background. */
async function beginStream(model: string): Promise<{ readonly text: Promise<string> }> {
  const response = await post(gateway.url + CHAT, chat(model, { stream: true, max_tokens: 50, ignore_eos: true }));
  expect(response.status).toBe(200);
  return { text: response.text() };
}

describe("a worker that is changed while it streams", () => {
  test("row 95: removed: its stream ends whole, nothing new comes to it, and it can be removed once", async () => {
    await using leaving = await startEngine({ model: "m95", ...PACED });
    await using staying = await startEngine({ model: "m95" });
    await using served = await gateway.serve("m95", [leaving.url]);
    const { text } = await beginStream("m95");
    await using _staying = await gateway.serve("m95", [staying.url]);
    const url = `${gateway.url}/workers/${served.ids[0]}`;
    expect((await fetch(url, { method: "DELETE" })).status).toBe(202);
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(gateway.url + CHAT, chat("m95"))));
    expect(answers.map(({ status }) => status)).toEqual(Array.from(answers, () => 200));
    expect([leaving.requests.length, staying.requests.length]).toEqual([1, 20]);
    expect((await fetch(url, { method: "DELETE" })).status).toBe(404);
    expect(await text).toEndWith("data: [DONE]\n\n");
    expect(leaving.stats).toEqual({ started: 1, finished: 1, aborted: 0 });
    await eventually(async () => (await fetch(url)).status === 404, "it has left");
    expect(await gateway.metric("pointsman_requests_in_flight", { model: "m95" })).toBe(0);
    expect((await fetch(url, { method: "DELETE" })).status).toBe(404);
    observe(95, "stream whole; 20 of 20 sent at once after the 202 went elsewhere; 0 in flight; removed twice is 404");
  });

  test("row 95: added again while it leaves: a new worker at once, and its stream ends whole", async () => {
    await using engine = await startEngine({ model: "m95a", ...PACED });
    const { ids } = await gateway.serve("m95a", [engine.url]);
    const { text } = await beginStream("m95a");
    const gone = fetch(`${gateway.url}/workers/${ids[0]}?wait=true`, { method: "DELETE" });
    await eventually(async () => (await list()).workers.some(({ status }) => status === "draining"), "it leaves");
    await using back = await gateway.serve("m95a", [engine.url]);
    expect(back.ids[0]).not.toBe(ids[0]);
    expect((await post(gateway.url + CHAT, chat("m95a", { max_tokens: 2 }))).status).toBe(200);
    expect(await text).toEndWith("data: [DONE]\n\n");
    expect((await gone).status).toBe(200);
    expect((await list()).workers.map(({ id }) => id)).toEqual([...back.ids]);
    expect((await post(gateway.url + CHAT, chat("m95a", { max_tokens: 2 }))).status).toBe(200);
    expect(await gateway.metric("pointsman_requests_in_flight", { model: "m95a" })).toBe(0);
  });

  test("row 95: given another model: its stream ends whole, and the old name is unknown at once", async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await using engine = await startRawEngine(({ body, write }) => {
      if (!body.includes('"stream"')) return write(`HTTP/1.1 200 OK\r\n${JSON_HEAD}content-length: 2\r\n\r\n{}`);
      write(STREAM_HEAD + deltaChunk("a"));
      void released.then(() => write(`${deltaChunk("b")}${chunk("data: [DONE]\n\n")}0\r\n\r\n`));
    });
    await using served = await gateway.serve("m95b", [engine.url]);
    const { text } = await beginStream("m95b");
    const changed = await fetch(`${gateway.url}/workers/${served.ids[0]}?wait=true`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ url: engine.url, model_id: "m95c" }),
    });
    expect([changed.status, await changed.json()]).toEqual([200, expect.objectContaining({ model_id: "m95c" })]);
    expect((await post(gateway.url + CHAT, chat("m95b"))).status).toBe(404);
    expect((await post(gateway.url + CHAT, chat("m95c"))).status).toBe(200);
    release();
    expect(await text).toEndWith("data: [DONE]\n\n");
    await eventually(async () => (await gateway.metric("pointsman_requests_in_flight")) === 0, "nothing is in flight");
  });

  test("row 95: removed with a stream that outlasts the drain: the count still ends at none", async () => {
    await using hasty = await startFaultGateway(["--drain-timeout-secs", "0.3"]);
    await using engine = await startEngine({ model: "m95d", ...PACED });
    await using served = await hasty.serve("m95d", [engine.url]);
    const response = await post(hasty.url + CHAT, chat("m95d", { stream: true, max_tokens: 50, ignore_eos: true }));
    const gone = await fetch(`${hasty.url}/workers/${served.ids[0]}?wait=true`, { method: "DELETE" });
    expect(gone.status).toBe(200);
    expect(await response.text()).toMatch(/data: (\[DONE\]|\{"error":.*\})\n\n$/);
    for (const gauge of ["pointsman_requests_in_flight", "pointsman_admitted_requests"]) {
      await eventually(async () => (await hasty.metric(gauge)) === 0, `${gauge} is 0`);
    }
  });
});

test("row 96: a hundred at once who add and remove the same URL: the list is what the answers say", async () => {
  await using engine = await startEngine({ model: "m96" });
  const ids: string[] = [];
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const isAdd = index % 2 === 0;
      const response = isAdd
        ? await post(`${gateway.url}/workers`, { url: engine.url, model_id: "m96" })
        : await post(`${gateway.url}/remove_worker`, { url: engine.url });
      const { worker_id: id } = (await response.json()) as { worker_id?: string };
      if (id !== undefined) ids.push(id);
      expect(response.status).toBeOneOf(isAdd ? [202, 409] : [200, 404]);
      return { isAdd, isDone: response.status < 300 };
    }),
  );
  const added = outcomes.filter(({ isAdd, isDone }) => isAdd && isDone).length;
  const removed = outcomes.filter(({ isAdd, isDone }) => !isAdd && isDone).length;
  const isThere = async (): Promise<number> => (await list()).workers.filter(({ url }) => url === engine.url).length;
  expect(added).toBeGreaterThan(0);
  expect(added - removed).toBeWithin(0, 2);
  expect(await isThere()).toBe(added - removed);
  expect([ids.length, new Set(ids).size]).toEqual([added, added]);
  observe(96, `${added} added, ${removed} removed of 50 each, ${added - removed} in the list; the rest 409 and 404`);
  await post(`${gateway.url}/remove_worker`, { url: engine.url });
  await eventually(async () => (await isThere()) === 0, "it has left");
});

test("row 96: and a hundred who add different ones get all of them", async () => {
  const added = await Promise.all(
    Array.from({ length: 100 }, (_, index) => post(`${gateway.url}/workers`, { url: `http://127.0.0.1:${index + 1}` })),
  );
  const ids = await Promise.all(
    added.map(async (answer) => ((await answer.json()) as { worker_id: string }).worker_id),
  );
  expect([new Set(ids).size, (await list()).total]).toEqual([100, 100]);
  const removed = await Promise.all(ids.map((id) => fetch(`${gateway.url}/workers/${id}`, { method: "DELETE" })));
  expect(removed.every(({ status }) => status === 202)).toBe(true);
  await eventually(async () => (await list()).total === 0, "all have left");
});

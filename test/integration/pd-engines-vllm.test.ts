import { describe, expect, test } from "bun:test";
import type { PdEngine } from "../engines/pd/pd-engine.ts";
import {
  type Answer,
  CHAT,
  COMPLETIONS,
  firstPair,
  prefillBody,
  QUESTION,
  read,
  REMOTE_DECODE,
  send,
  withParams,
  writtenParams,
} from "../support/pd-client.ts";
import { answerText, type PdFleet, startPdFleet } from "../support/pd-engines.ts";

const ID = { headers: { "x-request-id": "r-1" } };

async function metric(engine: PdEngine, name: string): Promise<number> {
  const page = await (await fetch(`${engine.url}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)$`, "m").exec(page)?.[1]);
}

/** Prefill, then decode with what came of it. */
async function handOver(fleet: PdFleet, path: string, body: object): Promise<Response> {
  const { prefill, decode } = firstPair(fleet);
  const prefilled = await send(prefill, path, prefillBody(body), ID);
  return send(decode, path, withParams(body, writtenParams(await prefilled.text())), ID);
}

describe("nixl", () => {
  test("a pair answers what one engine answers, and the prompt's KV moves", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { prefill, decode } = firstPair(fleet);
    for (const [path, body] of [
      [CHAT, QUESTION],
      [COMPLETIONS, { prompt: "The night mail crossing the border", max_tokens: 12 }],
      ["/v1/messages", { ...QUESTION, system: "You are a porter.", max_tokens: 20 }],
    ] as const) {
      const before = fleet.kvTokens;
      const decoded = await handOver(fleet, path, body);
      expect(decoded.status).toBe(200);
      expect(answerText(await decoded.json())).toBe(await fleet.referenceText(path, body));
      expect(fleet.kvTokens).toBeGreaterThan(before);
    }
    expect(fleet.violations).toEqual([]);
    expect(await metric(decode, "vllm:external_prefix_cache_hits_total")).toBe(fleet.kvTokens);
    expect(await metric(decode, "vllm:nixl_xfer_time_seconds_count")).toBe(3);
    expect([fleet.kvTokens > 0, decode.record.recomputed, prefill.heldTokens]).toEqual([true, 0, 0]);
  });

  test("the prefill engine answers with where its blocks are", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { prefill } = firstPair(fleet);
    const answer = await read(send(prefill, CHAT, prefillBody(QUESTION), ID));
    expect(answer.kv_transfer_params).toMatchObject({
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_engine_id: prefill.engineId,
      remote_request_id: expect.stringContaining("r-1"),
      remote_host: "127.0.0.1",
      remote_port: prefill.kvPort,
      tp_size: 1,
    });
    expect(prefill.heldTokens).toBe(answer.usage.prompt_tokens);
  });

  test("a streamed decode moves the KV as well", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { prefill, decode } = firstPair(fleet);
    const params = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
    const stream = await (await send(decode, CHAT, withParams({ ...QUESTION, stream: true }, params), ID)).text();
    const pieces = [...stream.matchAll(/"content":"([^"]*)"/g)].map(([, piece]) => piece);
    expect(pieces.join("")).toBe(await fleet.referenceText(CHAT, QUESTION));
    expect(fleet.kvTokens).toBeGreaterThan(0);
  });

  test("a decode engine without parameters prefills for itself, and that can be told", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { decode } = firstPair(fleet);
    const answer = await read(send(decode, CHAT, QUESTION));
    expect(answerText(answer)).toBe(await fleet.referenceText(CHAT, QUESTION));
    expect([decode.record.recomputed, fleet.kvTokens, fleet.violations.length]).toEqual([1, 0, 0]);
    expect(await metric(decode, "vllm:external_prefix_cache_queries_total")).toBe(answer.usage.prompt_tokens);
    expect(await metric(decode, "vllm:external_prefix_cache_hits_total")).toBe(0);
  });

  test("what the prefill engine had cached is in its own answer; the decode engine's says all of it", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { prefill, decode } = firstPair(fleet);
    const prefilled = await send(prefill, CHAT, prefillBody(QUESTION), ID);
    const text = await prefilled.text();
    const first = JSON.parse(text) as Answer;
    const second = await read(send(decode, CHAT, withParams(QUESTION, writtenParams(text)), ID));
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(second.usage.prompt_tokens_details.cached_tokens).toBe(second.usage.prompt_tokens);
  });

  const WRONG_PREFILLS: readonly [title: string, body: object][] = [
    ["that makes more than one token", { ...prefillBody(QUESTION), max_tokens: 16 }],
    ["without a bound", { ...prefillBody(QUESTION), max_tokens: undefined }],
    ["with the client's other bound", { ...prefillBody(QUESTION), max_completion_tokens: 64 }],
    ["with a least length", { ...prefillBody(QUESTION), min_tokens: 5 }],
    ["that streams", { ...prefillBody(QUESTION), stream: true }],
    ["with options of a stream", { ...prefillBody(QUESTION), stream_options: { include_usage: true } }],
    ["of two samples", { ...prefillBody(QUESTION), n: 2 }],
    ["without parameters", { ...prefillBody(QUESTION), kv_transfer_params: undefined }],
    ["that is a decode", prefillBody(QUESTION, { ...REMOTE_DECODE, do_remote_decode: false })],
    ["that says both", prefillBody(QUESTION, { ...REMOTE_DECODE, do_remote_prefill: true })],
    ["with blocks from elsewhere", prefillBody(QUESTION, { ...REMOTE_DECODE, remote_block_ids: [[1]] })],
  ];

  for (const [title, body] of WRONG_PREFILLS) {
    test(`a prefill ${title} is refused`, async () => {
      await using fleet = await startPdFleet({ dialect: "nixl" });
      const { prefill } = firstPair(fleet);
      expect((await send(prefill, CHAT, body, ID)).status).toBe(400);
      expect([fleet.violations.length, prefill.heldTokens]).toEqual([1, 0]);
    });
  }

  test("a prefill without a request id is refused, and so is one through /v1/responses with another route's bound", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { prefill } = firstPair(fleet);
    expect((await send(prefill, CHAT, prefillBody(QUESTION))).status).toBe(400);
    expect((await send(prefill, "/v1/responses", prefillBody({ input: "hi" }), ID)).status).toBe(400);
    expect(fleet.violations).toHaveLength(2);
  });

  const WRONG_DECODES: readonly [title: string, change: (params: string) => string, status: number][] = [
    ["another block", (params) => params.replace(/\[\[\d+/, "[[7777"), 400],
    ["a number written otherwise", (params) => params.replace('"tp_size":1,', '"tp_size":1.0,'), 400],
    ["a field more", (params) => params.replace("{", '{"extra":true,'), 400],
    ["a field less", (params) => params.replace('"transfer_mode":"pull"', '"x":0'), 400],
    ["no wish to fetch", (params) => params.replace('"do_remote_prefill":true', '"do_remote_prefill":false'), 400],
    ["a request that never was", (params) => params.replace(/r-1-0-/, "r-2-0-"), 500],
    ["a port where nobody is", (params) => params.replace(/"remote_port":\d+/, '"remote_port":1'), 500],
  ];

  for (const [title, change, status] of WRONG_DECODES) {
    test(`a decode with ${title} is refused`, async () => {
      await using fleet = await startPdFleet({ dialect: "nixl" });
      const { prefill, decode } = firstPair(fleet);
      const params = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
      expect(change(params)).not.toBe(params);
      expect((await send(decode, CHAT, withParams(QUESTION, change(params)), ID)).status).toBe(status);
      expect(fleet.violations).toHaveLength(1);
    });
  }

  test("another request id or another prompt for the decode is refused", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const { prefill, decode } = firstPair(fleet);
    const prefilled = async (): Promise<string> =>
      writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
    const other = { headers: { "x-request-id": "r-2" } };
    expect((await send(decode, CHAT, withParams(QUESTION, await prefilled()), other)).status).toBe(400);
    const changed = { ...QUESTION, messages: [{ role: "user", content: "And to Rugby?" }] };
    expect((await send(decode, CHAT, withParams(changed, await prefilled()), ID)).status).toBe(400);
    expect(fleet.violations).toEqual([
      "x-request-id is r-2 here and r-1 at the prefill engine",
      "the prompt is not the one that was prefilled",
    ]);
  });

  test("blocks are given away once, and given up after their lease; neither is the client's fault", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl", leaseMs: 30 });
    const { prefill, decode } = firstPair(fleet);
    const first = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
    expect((await send(decode, CHAT, withParams(QUESTION, first), ID)).status).toBe(200);
    expect((await send(decode, CHAT, withParams(QUESTION, first), ID)).status).toBe(500);
    const second = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
    while (prefill.heldTokens > 0) await Bun.sleep(1);
    expect((await send(decode, CHAT, withParams(QUESTION, second), ID)).status).toBe(500);
    expect(fleet.violations).toEqual([]);
    expect(decode.record.kvFailures).toHaveLength(2);
    expect(await metric(prefill, "vllm:nixl_num_kv_expired_reqs_total")).toBe(1);
  });

  test("the connector can be found out in development mode, and only there", async () => {
    await using open = await startPdFleet({ dialect: "nixl" });
    await using shut = await startPdFleet({ dialect: "nixl", isDevMode: false });
    const page = (fleet: PdFleet): Promise<Response> =>
      fetch(`${firstPair(fleet).prefill.url}/server_info?config_format=json`);
    expect(await read<object>(page(open))).toMatchObject({
      vllm_config: { kv_transfer_config: { kv_connector: "NixlConnector", kv_role: "kv_producer" } },
    });
    expect((await page(shut)).status).toBe(404);
  });
});

describe("an unknown connector", () => {
  test("what the prefill engine answers goes to the decode engine as it is written", async () => {
    await using fleet = await startPdFleet({ dialect: "passthrough" });
    const decoded = await handOver(fleet, CHAT, QUESTION);
    expect(answerText(await decoded.json())).toBe(await fleet.referenceText(CHAT, QUESTION));
    expect(fleet.kvTokens).toBeGreaterThan(0);
    expect(fleet.violations).toEqual([]);
  });

  test("parameters that went through a reader of numbers are refused", async () => {
    await using fleet = await startPdFleet({ dialect: "passthrough" });
    const { prefill, decode } = firstPair(fleet);
    const params = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
    const reread = JSON.stringify(JSON.parse(params));
    expect((await send(decode, CHAT, withParams(QUESTION, reread), ID)).status).toBe(400);
    expect(fleet.violations).toHaveLength(1);
  });
});

describe("mooncake", () => {
  const REMOTE = { do_remote_decode: true, do_remote_prefill: false };

  interface Bootstrap {
    readonly [rank: string]: { readonly engine_id: string };
  }

  async function legs(fleet: PdFleet, rank = 0) {
    const { prefill, decode } = firstPair(fleet);
    const transfer = { transfer_id: `xfer-${crypto.randomUUID()}` };
    const table = await read<Bootstrap>(fetch(`http://127.0.0.1:${prefill.kvPort}/query`));
    const remote = {
      do_remote_decode: false,
      do_remote_prefill: true,
      ...transfer,
      remote_engine_id: table[rank]?.engine_id,
      remote_bootstrap_addr: `http://127.0.0.1:${prefill.kvPort}`,
    };
    const headers = { "x-data-parallel-rank": String(rank) };
    return {
      prefill: async (more: object = {}) =>
        send(prefill, CHAT, prefillBody(QUESTION, { ...REMOTE, ...transfer, ...more }), { headers }),
      decode: async (more: object = {}) =>
        send(decode, CHAT, { ...QUESTION, kv_transfer_params: { ...remote, ...more } }),
    };
  }

  test("both orders, and both at once, move the KV", async () => {
    await using fleet = await startPdFleet({ dialect: "mooncake" });
    const text = await fleet.referenceText(CHAT, QUESTION);
    const inOrder = await legs(fleet);
    const prefilled = await read(inOrder.prefill());
    expect(prefilled.kv_transfer_params).toBeUndefined();
    expect(answerText(await read(inOrder.decode()))).toBe(text);
    expect(fleet.kvTokens).toBe(prefilled.usage.prompt_tokens);
    const together = await legs(fleet);
    const [second, first] = await Promise.all([together.decode(), together.prefill()]);
    expect([first.status, answerText(await read(second))]).toEqual([200, text]);
    expect(fleet.violations).toEqual([]);
  });

  test("with several ranks the engine's id names the one that prefilled", async () => {
    await using fleet = await startPdFleet({ dialect: "mooncake", dpSize: 2 });
    const right = await legs(fleet, 1);
    await right.prefill();
    expect((await right.decode()).status).toBe(200);
    const wrong = await legs(fleet, 1);
    await wrong.prefill();
    expect((await wrong.decode({ remote_engine_id: `${firstPair(fleet).prefill.engineId}_dp0` })).status).toBe(400);
    expect(fleet.violations).toHaveLength(1);
  });

  test("departures are refused", async () => {
    await using fleet = await startPdFleet({ dialect: "mooncake", waitMs: 100 });
    const statuses: number[] = [];
    statuses.push((await (await legs(fleet)).prefill({ transfer_id: undefined })).status);
    statuses.push((await (await legs(fleet)).prefill({ do_remote_decode: false })).status);
    statuses.push((await (await legs(fleet)).decode()).status);
    for (const more of [
      { remote_engine_id: undefined },
      { remote_engine_id: "somebody" },
      { remote_bootstrap_addr: "127.0.0.1:1" },
      { remote_bootstrap_addr: "http://127.0.0.1:1" },
      { transfer_id: "xfer-other" },
      { do_remote_prefill: false },
    ]) {
      const pair = await legs(fleet);
      await pair.prefill();
      statuses.push((await pair.decode(more)).status);
    }
    const pair = await legs(fleet);
    await pair.prefill();
    statuses.push((await pair.prefill()).status);
    expect(statuses).toEqual([400, 400, 500, 400, 400, 400, 500, 500, 400, 400]);
    expect(fleet.violations).toHaveLength(statuses.length);
  });
});

describe("p2p_nccl", () => {
  function requestId(prefill: PdEngine | number, decode: PdEngine | number): Record<string, string> {
    const port = (engine: PdEngine | number): number => (typeof engine === "number" ? engine : engine.kvPort);
    const uuid = crypto.randomUUID().replaceAll("-", "");
    const id = `___prefill_addr_127.0.0.1:${port(prefill)}___decode_addr_127.0.0.1:${port(decode)}_${uuid}`;
    return { "x-request-id": id };
  }

  test("a request id with both addresses moves the KV", async () => {
    await using fleet = await startPdFleet({ dialect: "p2p_nccl" });
    const { prefill, decode } = firstPair(fleet);
    const headers = requestId(prefill, decode);
    const prefilled = await send(prefill, CHAT, { ...QUESTION, max_tokens: 1 }, { headers });
    expect(prefilled.status).toBe(200);
    const answer = await read(send(decode, CHAT, QUESTION, { headers }));
    expect(answerText(answer)).toBe(await fleet.referenceText(CHAT, QUESTION));
    expect(fleet.kvTokens).toBe(answer.usage.prompt_tokens);
    expect(fleet.violations).toEqual([]);
  });

  test("departures are refused", async () => {
    await using fleet = await startPdFleet({ dialect: "p2p_nccl", waitMs: 100 });
    const { prefill, decode } = firstPair(fleet);
    const right = requestId(prefill, decode);
    const short = { ...QUESTION, max_tokens: 1 };
    const statuses = [
      (await send(prefill, CHAT, short, ID)).status,
      (await send(prefill, CHAT, QUESTION, { headers: right })).status,
      (await send(prefill, CHAT, short, { headers: requestId(1, decode) })).status,
      (await send(prefill, CHAT, short, { headers: requestId(prefill, 1) })).status,
      (await send(decode, CHAT, QUESTION, { headers: right })).status,
      (await send(decode, CHAT, QUESTION, { headers: requestId(prefill, 1) })).status,
      (await send(decode, CHAT, QUESTION)).status,
    ];
    expect(statuses).toEqual([400, 400, 400, 500, 500, 400, 400]);
    // The prefill engine was told of the fifth, and refused it: that the decode engine then waits is no second fault.
    expect(fleet.violations).toHaveLength(6);
  });
});

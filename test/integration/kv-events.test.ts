import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { rmSync } from "node:fs";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { workerSchema } from "../../src/config/schema.ts";
import { loadTokenizer } from "../../src/tokenizer/load/load-tokenizer.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { KvPublisher } from "../engines/kv-publisher.ts";
import { startEngine } from "../support/engine.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";
import { type TinyModel, writeTinyModel } from "../support/tiny-model.ts";

/** Bounds of waits, ms: the ups and downs of connections take a few. */
const WAIT_MS = 10_000;

let model: TinyModel;
let tokenizer: Tokenizer;
beforeAll(async () => {
  model = await writeTinyModel();
  tokenizer = await loadTokenizer(model.path, {});
});
afterAll(() => {
  tokenizer[Symbol.dispose]();
  rmSync(model.path, { recursive: true, force: true });
});

interface Setup extends AsyncDisposable {
  readonly gateway: TestGateway;
  readonly engines: readonly SimulatedEngine[];
  readonly publishers: KvPublisher[];
  /** Sends the prompt. Returns the number of the engine that got it. */
  send(text: string, extra?: object): Promise<number>;
  /** The tokens that an engine would make of the prompt. */
  tokensOf(text: string): Promise<Uint32Array>;
  /** What `GET /workers` shows of the KV events of one worker. */
  shown(number: number): Promise<Record<string, unknown>>;
  until(number: number, is: (shown: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
}

/** Two engines with a publisher each, and a gateway that follows them. */
async function setUp(
  policy = "cache_aware",
  change: { readonly tokenizerPath?: string | undefined } = {},
): Promise<Setup> {
  const engines = [await startEngine({ kind: "vllm", model: "m" }), await startEngine({ kind: "vllm", model: "m" })];
  const publishers = [new KvPublisher(), new KvPublisher()];
  const gateway = await startGateway({
    config: {
      defaultPolicy: policy,
      tokenizerPath: model.path,
      ...change,
      initialWorkers: engines.map(({ url }, number) => ({
        ...workerSchema.parse({ url, kvEvents: publishers[number]?.settings }),
        source: "file" as const,
      })),
    },
  });
  const shown = async (number: number): Promise<Record<string, unknown>> => {
    const page = (await (await fetch(`${gateway.url}/workers`)).json()) as {
      readonly workers: readonly { readonly url: string; readonly kv_events: Record<string, unknown> }[];
    };
    return page.workers.find(({ url }) => url === engines[number]?.url)?.kv_events ?? {};
  };
  const until: Setup["until"] = async (number, is) => {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      const now = await shown(number);
      if (is(now) || performance.now() > end) return now;
      await Bun.sleep(5);
    }
  };
  return {
    gateway,
    engines,
    publishers,
    shown,
    until,
    async send(text, extra = {}) {
      const before = engines.map(({ requests }) => requests.length);
      const answer = await post(`${gateway.url}/v1/chat/completions`, {
        model: "m",
        messages: [{ role: "user", content: text }],
        max_tokens: 4,
        ...extra,
      });
      expect(answer.status).toBe(200);
      await answer.text();
      return engines.findIndex(({ requests }, number) => requests.length > (before[number] ?? 0));
    },
    tokensOf,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      for (const engine of engines) await engine.stop();
      for (const publisher of publishers) publisher[Symbol.dispose]();
    },
  };
}

async function tokensOf(text: string): Promise<Uint32Array> {
  const template = tokenizer.chatTemplates.get({ hasTools: false });
  const rendered = template.render({
    messages: [{ role: "user", content: text }],
    addGenerationPrompt: true,
    continueFinalMessage: false,
    kwargs: {},
  });
  return tokenizer.encode(rendered.text, { addSpecialTokens: false });
}

/** Publishers of two ranks: the second has the ports behind those of the first. */
function neighbours(): readonly [KvPublisher, KvPublisher] {
  for (;;) {
    const first = new KvPublisher();
    const { live, replay } = first.ports;
    try {
      return [first, new KvPublisher("kv@w", { live: live + 1, replay: replay + 1 })];
    } catch {
      // Another program has such a port.
      first[Symbol.dispose]();
    }
  }
}

const isExact = ({ state }: Record<string, unknown>): boolean => state === "exact";
/** A prompt of some hundred tokens that begins like no other. */
const prompt = (name: string): string => `${name} ${"what the others said of it ".repeat(12)}`;

describe("workers whose KV events are followed", () => {
  test("get the prompts that their engines hold, though the gateway never sent them", async () => {
    await using setup = await setUp();
    for (const number of [0, 1]) expect(await setup.until(number, isExact)).toMatchObject({ state: "exact" });
    // The model's tokenizer is loaded with the first request.
    await setup.send("hello");
    const end = performance.now() + WAIT_MS;
    while (setup.gateway.context.tokenizers.get("m") === undefined && performance.now() < end) await Bun.sleep(5);
    for (const [number, name] of [
      [1, "a"],
      [0, "b"],
      [1, "c"],
      [0, "d"],
    ] as const) {
      const tokens = await setup.tokensOf(prompt(name));
      setup.publishers[number]?.store(tokens);
      await setup.until(number, ({ blocks }) => Number(blocks) >= Math.floor(tokens.length / 16));
      expect([name, await setup.send(prompt(name))]).toEqual([name, number]);
    }
    // It is evicted there, and the other engine has it.
    const tokens = await setup.tokensOf(prompt("a"));
    const { batches } = await setup.shown(1);
    setup.publishers[1]?.remove(tokens);
    setup.publishers[0]?.store(tokens);
    await setup.until(1, (now) => Number(now["batches"]) >= Number(batches) + Math.floor(tokens.length / 16));
    await setup.until(0, ({ blocks }) => Number(blocks) >= 3 * Math.floor(tokens.length / 16));
    expect(await setup.send(prompt("a"))).toBe(0);
  });

  test("are asked for what was missed, are known anew after a restart, and are shown with it", async () => {
    await using setup = await setUp();
    const [publisher] = setup.publishers;
    if (!publisher) throw new Error("no publisher");
    await setup.until(0, isExact);
    publisher.store(await setup.tokensOf(prompt("a")));
    publisher.isMute = true;
    publisher.store(await setup.tokensOf(prompt("b")));
    publisher.isMute = false;
    publisher.store(await setup.tokensOf(prompt("c")));
    const caughtUp = await setup.until(0, (now) => isExact(now) && now["batches"] === 3);
    expect(caughtUp).toMatchObject({ state: "exact", batches: 3, gaps: 1, restarts: 0, sequences: [3], orphans: 0 });
    const { ports } = publisher;
    publisher[Symbol.dispose]();
    expect(await setup.until(0, ({ state }) => state === "connecting")).toMatchObject({ state: "connecting" });
    setup.publishers[0] = new KvPublisher("kv@w", ports);
    setup.publishers[0].store(await setup.tokensOf(prompt("d")));
    const again = await setup.until(0, (now) => isExact(now) && now["batches"] === 4);
    expect(again).toMatchObject({ state: "exact", restarts: 1, sequences: [1] });
    const metrics = await (await fetch(`${setup.gateway.url}/metrics`)).text();
    expect(metrics).toContain(`pointsman_kv_events_exact{worker="${setup.engines[0]?.url}"} 1`);
    expect(metrics).toContain(`pointsman_kv_event_gaps_total{worker="${setup.engines[0]?.url}"} 1`);
  });

  test("are followed rank by rank where ranks are workers, and a prompt goes to the rank that holds it", async () => {
    await using engine = await startEngine({ kind: "vllm", model: "m", dpSize: 2 });
    const [first, second] = neighbours();
    using _first = first;
    using _second = second;
    await using gateway = await startGateway({
      config: {
        defaultPolicy: "cache_aware",
        tokenizerPath: model.path,
        dpAware: true,
        initialWorkers: [
          { ...workerSchema.parse({ url: engine.url, kvEvents: first.settings }), source: "file" as const },
        ],
      },
    });
    const shown = async (rank: number): Promise<Record<string, unknown>> => {
      const name = encodeURIComponent(`${engine.url}@${rank}`);
      const view = (await (await fetch(`${gateway.url}/workers/${name}`)).json()) as Record<string, unknown>;
      return Object(view["kv_events"] ?? {});
    };
    const until = async (is: () => Promise<boolean>): Promise<void> => {
      for (const end = performance.now() + WAIT_MS; !(await is()) && performance.now() < end;) await Bun.sleep(5);
    };
    await until(async () => isExact(await shown(0)) && isExact(await shown(1)));
    expect([await shown(0), await shown(1)]).toMatchObject([{ state: "exact" }, { state: "exact" }]);
    const send = async (text: string): Promise<number | undefined> => {
      const messages = [{ role: "user", content: text }];
      const answer = await post(`${gateway.url}/v1/chat/completions`, { model: "m", messages, max_tokens: 2 });
      expect([answer.status, (await answer.text()) !== ""]).toEqual([200, true]);
      return engine.requests.at(-1)?.rank;
    };
    await send("hello");
    await until(async () => gateway.context.tokenizers.get("m") !== undefined);
    for (const [rank, name] of [
      [1, "a"],
      [0, "b"],
      [1, "c"],
      [0, "d"],
    ] as const) {
      const tokens = await tokensOf(prompt(name));
      const { blocks } = await shown(rank);
      (rank === 0 ? first : second).store(tokens);
      await until(
        async () => Number((await shown(rank))["blocks"]) >= Number(blocks) + Math.floor(tokens.length / 16) - 1,
      );
      expect([name, await send(prompt(name))]).toEqual([name, rank]);
    }
    // A publisher that is lost is the loss of one rank.
    second[Symbol.dispose]();
    await until(async () => !isExact(await shown(1)));
    expect([isExact(await shown(0)), isExact(await shown(1))]).toEqual([true, false]);
  }, 30_000);

  test("of policies that compare no prefixes are not followed, nor those of a worker that says false", async () => {
    await using setup = await setUp("round_robin");
    await setup.send("hello");
    expect(await setup.shown(0)).toEqual({});
    const patched = await fetch(`${setup.gateway.url}/workers`);
    expect(JSON.stringify(await patched.json())).toContain('"kv_events":null');
  });

  test("are taken by what they are sent once they are no longer followed, and anew where another endpoint is told", async () => {
    await using setup = await setUp();
    const { policyRegistry, workerRegistry } = setup.gateway.context;
    const [engine] = setup.engines;
    const { id, slot } = workerRegistry.getByUrl(engine?.url ?? "") ?? {};
    const news = spyOn(policyRegistry, "cacheNews");
    const exacts = (): boolean[] =>
      news.mock.calls.flatMap(([model, , of, one]) =>
        model === "m" && of === slot && one.kind === "exact" ? [one.isExact] : [],
      );
    const tell = async (kvEvents: object | false): Promise<void> => {
      const body = JSON.stringify({ kv_events: kvEvents });
      const init = { method: "PATCH", headers: { "content-type": "application/json" }, body };
      expect((await fetch(`${setup.gateway.url}/workers/${id}`, init)).status).toBe(202);
    };
    await setup.until(0, isExact);
    await tell(false);
    expect(exacts().at(-1)).toBe(false);
    using other = new KvPublisher();
    const { endpoint, replayEndpoint, topic } = other.settings;
    await tell({ endpoint, replay_endpoint: replayEndpoint, topic });
    await setup.until(0, isExact);
    expect(exacts().at(-1)).toBe(true);
    await tell({ endpoint: "tcp://127.0.0.1:1" });
    expect(exacts().at(-1)).toBe(false);
    news.mockRestore();
  });

  test("compare text where the model has no tokenizer, and count it", async () => {
    await using setup = await setUp("cache_aware", { tokenizerPath: undefined });
    await setup.until(0, isExact);
    const first = await setup.send(prompt("a"));
    // The gateway knows what it sent.
    for (let round = 0; round < 3; round += 1) expect(await setup.send(prompt("a"))).toBe(first);
    const metrics = await (await fetch(`${setup.gateway.url}/metrics`)).text();
    expect(metrics).toContain('pointsman_prompt_tokenizations_total{model="m",outcome="no_tokenizer"} 4');
  });
});

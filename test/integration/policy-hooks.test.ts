import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import type { Candidate, PickEnd, PickOutcome, Policy } from "../../src/policy/policy.ts";
import { PolicyRegistry } from "../../src/policy/policy-registry.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { openRaw, rawPost } from "../support/client.ts";
import { chunk, deltaChunk, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";

const FINISH = 'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n';
const CHAT = "/v1/chat/completions";

/** What the policies heard: `role outcome`, or `role first token`, in the order in which it happened. */
interface Heard {
  readonly events: string[];
  readonly ends: PickEnd[];
  /** Resolves when so many requests have ended at their workers. */
  ended(count: number): Promise<void>;
}

interface Listening extends Heard {
  readonly policyRegistry: PolicyRegistry;
}

/** Policies that take the first candidate and write down what they hear. */
function listening(): Listening {
  const events: string[] = [];
  const ends: PickEnd[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const hear = (role: Candidate["role"], end: PickEnd): void => {
    events.push(`${role} ${end.outcome}`);
    ends.push(end);
    for (const { count, resolve } of waiting) if (ends.length >= count) resolve();
  };
  const create = (): Policy => ({
    name: "listening",
    pick([first]) {
      const role = first?.role ?? "regular";
      return {
        index: 0,
        onFirstToken(ms) {
          expect(ms).toBeGreaterThan(0);
          events.push(`${role} first token`);
        },
        onEnd: (end) => hear(role, end),
      };
    },
  });
  return {
    events,
    ends,
    ended(count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (ends.length >= count) resolve();
      else waiting.push({ count, resolve });
      return promise;
    },
    policyRegistry: new PolicyRegistry({
      defaultPolicy: { policy: "listening", config: {} },
      custom: [{ name: "listening", create, check: () => undefined }],
    }),
  };
}

interface Setup extends Heard {
  readonly gateway: TestGateway;
}

async function before(workers: readonly string[], config: Partial<Config> = {}): Promise<Setup & AsyncDisposable> {
  const { policyRegistry, ...heard } = listening();
  const gateway = await startGateway({ workers, config, overrides: { policyRegistry } });
  return { ...heard, gateway, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

async function ask({ url }: Pick<TestGateway, "url">, body: object = {}): Promise<string> {
  return (await post(`${url}${CHAT}`, { ...HELLO, ...body })).text();
}

const STREAM = { stream: true, stream_options: { include_usage: true } };

describe("a policy hears of its request", () => {
  test("that is streamed: the first token, then the end with the worker's counts", async () => {
    await using engine = await startEngine();
    await using setup = await before([engine.url]);
    await ask(setup.gateway, { ...STREAM, max_tokens: 5 });
    await setup.ended(1);
    expect(setup.events).toEqual(["regular first token", "regular answered"]);
    expect(setup.ends[0]?.usage).toMatchObject({ completionTokens: 5 });
    expect(setup.ends[0]?.usage?.promptTokens).toBeGreaterThan(0);
  });

  test("that is answered as a whole: the end alone, with the worker's counts", async () => {
    await using engine = await startEngine();
    await using setup = await before([engine.url]);
    await ask(setup.gateway, { max_tokens: 5 });
    await setup.ended(1);
    expect(setup.events).toEqual(["regular answered"]);
    expect(setup.ends[0]?.usage?.completionTokens).toBe(5);
  });

  test("whose client leaves within the stream", async () => {
    await using engine = await startRawEngine(({ write }) => write(STREAM_HEAD + deltaChunk("one")));
    await using setup = await before([engine.url]);
    const client = await openRaw(setup.gateway.url, rawPost(CHAT, { ...HELLO, model: "raw", stream: true }));
    await client.until("one");
    client.hangUp();
    await setup.ended(1);
    expect(setup.events).toEqual(["regular first token", "regular abandoned"]);
  });

  test("whose worker is not there, and of the second attempt as another choice", async () => {
    await using engine = await startEngine();
    await using gone = await startEngine();
    const { url } = gone;
    await gone.stop();
    await using setup = await before([url, engine.url], { disableHealthCheck: true });
    await ask(setup.gateway, STREAM);
    await setup.ended(2);
    expect(setup.events).toEqual(["regular failed", "regular first token", "regular answered"]);
  });

  test("whose worker dies within the stream, and of the worker that goes on", async () => {
    await using dying = await startRawEngine(({ write, reset }) => {
      write(STREAM_HEAD + deltaChunk("Hello"));
      setTimeout(reset, 50);
    });
    await using healthy = await startRawEngine(({ write }) =>
      write(`${STREAM_HEAD}${deltaChunk(" there")}${chunk(FINISH)}${chunk("data: [DONE]\n\n")}0\r\n\r\n`),
    );
    await using setup = await before([dying.url, healthy.url], { continueStreams: ["*"] });
    await ask(setup.gateway, { model: "raw", stream: true });
    await setup.ended(2);
    expect(setup.events).toEqual(["regular first token", "regular failed", "regular first token", "regular answered"]);
  });

  test("over gRPC as over HTTP", async () => {
    const { tokenizer, path } = await writeTinyModel();
    await using engine = await startGrpcEngine({ kind: "sglang", model: TINY_MODEL, tokenizer, tokenizerPath: path });
    await using setup = await before([engine.url]);
    await ask(setup.gateway, { ...STREAM, model: TINY_MODEL });
    await setup.ended(1);
    await ask(setup.gateway, { model: TINY_MODEL });
    await setup.ended(2);
    expect(setup.events).toEqual(["regular first token", "regular answered", "regular answered"]);
    for (const { usage } of setup.ends) expect(usage?.promptTokens).toBeGreaterThan(0);
  });
});

describe("the policies of a pair hear each of its own worker", () => {
  for (const dialect of ["sglang", "nixl"] as const) {
    test(`with ${dialect}: of prefill the first token and the end, of decode as of any other`, async () => {
      await using fleet = await startPdFleet({ dialect, prefills: 1, decodes: 1 });
      const { policyRegistry, ...heard } = listening();
      await using gateway = await startPdGateway([[dialect, fleet]], { overrides: { policyRegistry } });
      await ask(gateway, STREAM);
      await heard.ended(2);
      const of = (role: string): string[] => heard.events.filter((event) => event.startsWith(role));
      expect(of("prefill")).toEqual(["prefill first token", "prefill answered"]);
      expect(of("decode")).toEqual(["decode first token", "decode answered"]);
    });
  }

  test("where prefill fails: it has failed, and nothing is said of decode", async () => {
    await using fleet = await startPdFleet({
      dialect: "nixl",
      prefills: 1,
      decodes: 1,
      faults: { prefills: [{ kind: "status", status: 500 }] },
    });
    const { policyRegistry, ...heard } = listening();
    await using gateway = await startPdGateway([["nixl", fleet]], { overrides: { policyRegistry } });
    await ask(gateway, STREAM);
    await heard.ended(2);
    const outcomes = new Set<PickOutcome>(heard.ends.map(({ outcome }) => outcome));
    expect(outcomes).toEqual(new Set(["failed", "abandoned"]));
  });
});

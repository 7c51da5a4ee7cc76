import { describe, expect, test } from "bun:test";
import { workerSchema } from "../../src/config/schema.ts";
import { type GrpcEngineOptions, type SimulatedGrpcEngine, startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startEngine } from "../support/engine.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startProcess } from "../support/process.ts";
import { streamText } from "../support/stream-text.ts";
import { type TinyModel, TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";

const CHAT = "/v1/chat/completions";
const messages = [{ role: "user", content: "Where does the train go?" }];
const tiny = await writeTinyModel();

function startTiny(options: Partial<GrpcEngineOptions> = {}, model: TinyModel = tiny): Promise<SimulatedGrpcEngine> {
  const { tokenizer, path } = model;
  return startGrpcEngine({ kind: "vllm", model: TINY_MODEL, tokenizer, tokenizerPath: path, ...options });
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly content: string | undefined;
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null } | undefined;
}

async function ask({ url }: Pick<TestGateway, "url">, body: object = {}, path = CHAT): Promise<Answer> {
  const response = await post(`${url}${path}`, { model: TINY_MODEL, messages, ...body });
  const answer = (await response.json()) as {
    choices?: { message?: { content: string } }[];
    error?: NonNullable<Answer["error"]>;
  };
  return {
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
    content: answer.choices?.[0]?.message?.content,
    error: answer.error,
  };
}

function generations({ records }: SimulatedGrpcEngine): number {
  return records.filter(({ method }) => method === "Generate").length;
}

describe("tokenizers", () => {
  test("a worker that sends none is told of in 503, and a folder that is named makes up for it", async () => {
    await using engine = await startGrpcEngine({ kind: "sglang", model: TINY_MODEL, tokenizer: tiny.tokenizer });
    await using gateway = await startGateway({ workers: [engine.url] });
    for (const path of [CHAT, "/tokenize"]) {
      const { status, error, retryAfter } = await ask(gateway, {}, path);
      expect([status, error?.code, retryAfter]).toEqual([503, "tokenizer_unavailable", "5"]);
      expect(error?.message).toContain(`there is no tokenizer for "${TINY_MODEL}"`);
      expect(error?.message).not.toMatch(/127\.0\.0\.1|\/tmp/);
    }
    expect(generations(engine)).toBe(0);
    await using named = await startGateway({ workers: [engine.url], config: { tokenizerPath: tiny.path } });
    expect((await ask(named)).status).toBe(200);
  });

  test("of two workers one that sends its tokenizer is enough", async () => {
    await using without = await startGrpcEngine({ kind: "vllm", model: TINY_MODEL, tokenizer: tiny.tokenizer });
    await using engine = await startTiny();
    await using gateway = await startGateway({ workers: [without.url, engine.url] });
    expect((await ask(gateway)).status).toBe(200);
  });

  test("a label of the worker names a folder", async () => {
    await using engine = await startGrpcEngine({ kind: "vllm", model: TINY_MODEL, tokenizer: tiny.tokenizer });
    const initialWorkers = [workerSchema.parse({ url: engine.url, labels: { tokenizer_path: tiny.path } })];
    await using gateway = await startGateway({ config: { initialWorkers } });
    expect((await ask(gateway)).status).toBe(200);
  });
});

describe("templates", () => {
  async function asked(template: string | null): Promise<Answer & { readonly ms: number }> {
    const own = await writeTinyModel(template);
    await using engine = await startTiny({}, own);
    await using gateway = await startGateway({ workers: [engine.url] });
    // What needs no template is served in any case.
    expect((await ask(gateway, { prompt: "x" }, "/v1/completions")).status).toBe(200);
    const startedAt = performance.now();
    const answer = await ask(gateway);
    expect(generations(engine)).toBe(answer.status === 200 ? 2 : 1);
    return { ...answer, ms: performance.now() - startedAt };
  }

  test("one that refuses is 400 in its own words", async () => {
    const { status, error } = await asked("{{ raise_exception('only on Mondays') }}");
    expect([status, error?.param, error?.message.includes("only on Mondays")]).toEqual([400, "messages", true]);
  });

  test("one that fails is 400", async () => {
    const { status, error } = await asked("{{ messages[0].nobody.knows.this }}");
    expect([status, error?.code]).toEqual([400, "invalid_request"]);
  });

  test("one that loops is given up soon", async () => {
    const loop = "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}";
    const { status, ms } = await asked(loop);
    expect(status).toBe(400);
    expect(ms).toBeLessThan(2000);
  });

  test("a model without one serves completions, and says so of chats", async () => {
    const { status, error } = await asked(null);
    expect([status, error?.message]).toEqual([400, "this model has no chat template"]);
  });

  test("one that cannot be read is told of", async () => {
    const { status, error } = await asked("{% for %}");
    expect([status, error?.code]).toEqual([400, "invalid_request"]);
  });
});

describe("what a model and its clients may say", () => {
  const tool = (parameters: unknown): object => ({ type: "function", function: { name: "f", parameters } });
  const refusing: GrpcEngineOptions["fault"] = ({ message }) =>
    JSON.stringify(message).includes("no-such-type")
      ? { afterTokens: 0, what: { status: 3, message: "the grammar cannot be compiled" } }
      : undefined;

  test("a schema of a tool that no engine can follow is 400 in the engine's words", async () => {
    await using engine = await startTiny({ fault: refusing });
    await using gateway = await startGateway({ workers: [engine.url] });
    const tools = [tool({ type: "no-such-type" })];
    const { status, error } = await ask(gateway, { tools, tool_choice: "required" });
    expect([status, error?.code, error?.message]).toEqual([400, "upstream_rejected", "the grammar cannot be compiled"]);
    expect((await ask(gateway, { tools: [tool(7)] })).error).toMatchObject({
      code: "invalid_request",
      param: "tools[0].function.parameters",
    });
  });

  test("nonsense in a model's form comes out as content, whole and streamed", async () => {
    for (const nonsense of ['<tool_call>{"name": </tool_call>', "</tool_call></think><tool_call>", "<tool_call>[[[["]) {
      await using engine = await startTiny({ answer: () => nonsense });
      await using gateway = await startGateway({ workers: [engine.url] });
      const tools = [tool({ type: "object" })];
      const whole = await ask(gateway, { tools });
      expect([whole.status, (whole.content ?? "").length > 0]).toEqual([200, true]);
      const stream = await post(`${gateway.url}${CHAT}`, { model: TINY_MODEL, messages, tools, stream: true });
      const text = await stream.text();
      expect([streamText(text), text.endsWith("data: [DONE]\n\n")]).toEqual([whole.content ?? "", true]);
    }
  });
});

describe("what a worker is told", () => {
  test("its own key and the ids of the request, and nothing of the client's", async () => {
    await using engine = await startTiny();
    const initialWorkers = [workerSchema.parse({ url: engine.url, apiKey: "sk-worker" })];
    await using gateway = await startGateway({ config: { initialWorkers } });
    const headers = {
      authorization: "Bearer sk-client",
      cookie: "a=b",
      "x-forwarded-for": "10.1.2.3",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "x-request-id": "my-id",
    };
    // Without a name it is the model that there is.
    expect((await post(`${gateway.url}${CHAT}`, { messages }, headers)).status).toBe(200);
    const { metadata = {}, requestId = "" } = engine.records.find(({ method }) => method === "Generate") ?? {};
    expect(metadata).toMatchObject({
      authorization: "Bearer sk-worker",
      traceparent: headers.traceparent,
      "x-request-id": "my-id",
    });
    expect(JSON.stringify(metadata)).not.toMatch(/sk-client|a=b|10\.1\.2\.3/);
    expect(requestId).toMatch(/^my-id-[0-9a-f]{8}[0-9a-z]+$/);
  });

  test("the same id twice at the same time is two requests", async () => {
    await using engine = await startTiny();
    await using gateway = await startGateway({ workers: [engine.url] });
    const replies = await Promise.all(
      [1, 2, 3].map(async (seed) => post(`${gateway.url}${CHAT}`, { messages, seed }, { "x-request-id": "mine" })),
    );
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(engine.records.map(({ requestId }) => requestId)).size).toBe(3);
  });

  test("no further inputs are embedded once one has failed", async () => {
    await using engine = await startTiny({
      fault: ({ requestId }) => (requestId.endsWith("-3") ? { afterTokens: 0, what: { status: 3 } } : undefined),
    });
    await using gateway = await startGateway({ workers: [engine.url] });
    const input = Array.from({ length: 500 }, (_, index) => `text ${index}`);
    expect((await ask(gateway, { input, messages: undefined }, "/v1/embeddings")).status).toBe(400);
    await Bun.sleep(50);
    expect(engine.records.filter(({ method }) => method === "Embed").length).toBeLessThan(40);
  });
});

describe("fleets that are not whole", () => {
  test("prefill without decode, and decode without prefill, are 503 that says which is missing", async () => {
    for (const [role, missing] of [
      ["prefill", "decode"],
      ["decode", "prefill"],
    ] as const) {
      await using engine = await startTiny({ role });
      const initialWorkers = [workerSchema.parse({ url: engine.url, workerType: role })];
      await using gateway = await startGateway({ config: { pdDisaggregation: true, initialWorkers } });
      const { status, error } = await ask(gateway);
      expect([status, error?.code, error?.message]).toEqual([
        503,
        "no_available_workers",
        `the model has no ${missing} worker`,
      ]);
    }
  });

  test("engines of different kinds are no pair", async () => {
    await using prefill = await startTiny({ kind: "sglang", role: "prefill" });
    await using decode = await startTiny({ kind: "vllm", role: "decode" });
    const initialWorkers = [
      workerSchema.parse({ url: prefill.url, workerType: "prefill" }),
      workerSchema.parse({ url: decode.url, workerType: "decode" }),
    ];
    await using gateway = await startGateway({ config: { pdDisaggregation: true, initialWorkers } });
    expect(await ask(gateway)).toMatchObject({ status: 503, error: { code: "no_available_workers" } });
    expect([generations(prefill), generations(decode)]).toEqual([0, 0]);
  });
});

describe("fleets of many kinds", () => {
  const igw = (workers: readonly object[]): Promise<TestGateway> =>
    startGateway({
      config: { enableIgw: true, initialWorkers: workers.map((worker) => workerSchema.parse(worker)) },
    });

  test("one gateway serves models over HTTP and gRPC, regular and prefill/decode, at once", async () => {
    await using http = await startEngine({ model: "a" });
    await using pd = await startPdFleet({ dialect: "nixl", prefills: 1, decodes: 1, engine: { model: "b" } });
    await using grpc = await startTiny({ model: "c" });
    await using prefill = await startTiny({ model: "d", role: "prefill" });
    await using decode = await startTiny({ model: "d", role: "decode" });
    await using gateway = await igw([
      { url: http.url },
      { url: pd.prefills[0]?.url, workerType: "prefill" },
      { url: pd.decodes[0]?.url, workerType: "decode" },
      { url: grpc.url },
      { url: prefill.url, workerType: "prefill" },
      { url: decode.url, workerType: "decode" },
    ]);
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const model = "abcd"[index % 4] ?? "";
        expect([model, (await ask(gateway, { model, seed: index })).status]).toEqual([model, 200]);
      }),
    );
    expect(http.stats.finished).toBe(10);
    expect(pd.decodes[0]?.stats.finished).toBe(10);
    expect([grpc, prefill, decode].map(generations)).toEqual([10, 10, 10]);
    expect([...pd.violations, ...prefill.violations, ...decode.violations]).toEqual([]);
    const models = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(models.data.map(({ id }) => id).toSorted()).toEqual(["a", "b", "c", "d"]);
    expect((await ask(gateway, { model: "e" })).error?.code).toBe("model_not_found");
  });

  test("of a model with workers of several kinds the least loaded takes a request, of those that serve the route", async () => {
    await using http = await startEngine({ model: "a", instant: false, timing: { decodeMs: 5 } });
    await using grpc = await startTiny({ model: "a", msPerToken: 5 });
    await using gateway = await igw([{ url: http.url }, { url: grpc.url }]);
    // Until its tokenizer is there a gRPC worker's requests are not in flight.
    while (generations(grpc) === 0) await Promise.all([ask(gateway, { model: "a" }), ask(gateway, { model: "a" })]);
    const before = [http.stats.finished, generations(grpc)];
    const replies = await Promise.all(
      Array.from({ length: 20 }, async (_, seed) => ask(gateway, { model: "a", seed, max_tokens: 20 })),
    );
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    const after = [http.stats.finished, generations(grpc)];
    expect(after.map((count, at) => count - (before[at] ?? 0))).toEqual([10, 10]);
    // Rerank is for workers over HTTP only.
    for (let count = 0; count < 4; count += 1) {
      const rerank = { model: "a", query: "q", documents: ["one", "two"] };
      expect((await post(`${gateway.url}/v1/rerank`, rerank)).status).toBe(200);
    }
  });

  test("a model goes on being served when all workers of one kind have left", async () => {
    await using http = await startEngine({ model: "a" });
    await using grpc = await startTiny({ model: "a" });
    await using gateway = await igw([{ url: http.url }, { url: grpc.url }]);
    for (let count = 0; count < 4; count += 1) expect((await ask(gateway, { model: "a" })).status).toBe(200);
    for (const worker of gateway.context.workerRegistry.all()) {
      if (worker.url === grpc.url) await fetch(`${gateway.url}/workers/${worker.id}?wait=true`, { method: "DELETE" });
    }
    const before = generations(grpc);
    for (let count = 0; count < 4; count += 1) expect((await ask(gateway, { model: "a" })).status).toBe(200);
    expect(generations(grpc)).toBe(before);
  });
});

describe("continue_streams", () => {
  const LONG = "the train goes to the station and waits before the bridge 🚂 because the signal stands at red";

  test("a stream whose worker dies is gone on with by another, and the text is that of an undisturbed one", async () => {
    for (const kind of ["vllm", "sglang"] as const) {
      for (const [path, body] of [
        [CHAT, { messages: [{ role: "user", content: "Go on." }] }],
        ["/v1/completions", { prompt: "Go on.", messages: undefined }],
      ] as const) {
        for (const after of [1, 9, 40]) {
          // What it has said of the text already stands at the end of its prompt.
          const answer: GrpcEngineOptions["answer"] = ({ text }) => {
            const begun = text.split("<|im_start|>assistant\n")[1] ?? text.split("Go on.")[1] ?? "";
            return LONG.startsWith(begun) ? LONG.slice(begun.length) : `not a beginning: ${begun}`;
          };
          const options = { kind, answer, msPerToken: 2 };
          let isHit = false;
          const fault: GrpcEngineOptions["fault"] = () => {
            if (isHit) return undefined;
            isHit = true;
            return { afterTokens: after, what: "die" };
          };
          await using one = await startTiny({ ...options, fault });
          await using two = await startTiny({ ...options, fault });
          await using gateway = await startGateway({
            workers: [one.url, two.url],
            config: { continueStreams: ["*"] },
          });
          const line = gateway.nextLine();
          const response = await post(`${gateway.url}${path}`, {
            model: TINY_MODEL,
            ...body,
            max_tokens: 200,
            stream: true,
          });
          const text = await response.text();
          expect([kind, path, after, streamText(text)]).toEqual([kind, path, after, LONG]);
          expect(text).toEndWith("data: [DONE]\n\n");
          expect((await line)["status"]).toBe(200);
          expect(generations(one) + generations(two)).toBe(2);
        }
      }
    }
  });
});

test("with two threads each serves gRPC workers", async () => {
  await using engine = await startTiny();
  await using gateway = await startProcess([
    "--threads",
    "2",
    "--worker-startup-check-interval",
    "0.05",
    "--worker-urls",
    engine.url,
  ]);
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  const whole = await ask(gateway);
  const replies = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const body = { model: TINY_MODEL, messages, stream: index % 2 === 0 };
      const response = await post(`${gateway.url}${CHAT}`, body, { connection: "close" });
      const text = await response.text();
      return body.stream
        ? streamText(text)
        : (JSON.parse(text) as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
    }),
  );
  expect(new Set(replies)).toEqual(new Set([whole.content]));
  expect(generations(engine)).toBe(41);
  expect(await gateway.metric("pointsman_requests_in_flight")).toBe(0);
});

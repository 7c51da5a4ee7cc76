import { describe, expect, test } from "bun:test";
import { workerSchema } from "../../src/config/schema.ts";
import { startRpcServer } from "../engines/grpc/rpc-server.ts";
import type { PdFault } from "../engines/pd/faults.ts";
import { GetModelInfoResponse, HealthCheckResponse } from "../../src/transport/grpc/generated/engine/vllm.ts";
import { GrpcTransport } from "../../src/transport/grpc/grpc-transport.ts";
import { VLLM } from "../../src/engine/vllm/methods.ts";
import { startTinyEngine } from "../faults/grpc-workers.ts";
import { eventually } from "../faults/observe.ts";
import { startBlackHole } from "../support/black-hole.ts";
import { openRaw } from "../support/client.ts";
import { chunk, type RawExchange, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { type GatewayOptions, startGateway, type TestGateway } from "../support/gateway.ts";
import { startGrpcPd } from "../support/grpc-pd.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";

/*
 * Whatever a request waits for, `request_timeout_secs` ends it, and nothing is held of it any more. Each case stops one step
 * for good; all other bounds are far away.
 */

const BOUND_MS = 1000;
/** What the sweeps over deadlines and streams may add, and a machine that does other things as well. */
const LATE_MS = 2000;
const FAR_SECS = 60;
const CONFIG = {
  requestTimeoutSecs: BOUND_MS / 1000,
  connectTimeoutSecs: FAR_SECS,
  firstByteTimeoutSecs: FAR_SECS,
  idleTimeoutSecs: FAR_SECS,
  queueTimeoutSecs: FAR_SECS,
  bodyStallTimeoutSecs: FAR_SECS,
  clientStallTimeoutSecs: FAR_SECS,
  streamKeepAliveSecs: 0,
};
const LATER_MS = 600;
const CHAT = { messages: [{ role: "user", content: "Hello" }] };
const event = (text: string): string =>
  chunk(
    `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`,
  );

interface Case {
  readonly model?: string;
  readonly stream?: boolean;
  /** What the client may be told besides that the time is over. */
  readonly orElse?: string;
  /** The way there: stops one step for good. */
  setUp(stack: AsyncDisposableStack): Promise<TestGateway>;
}

function gatewayFor(stack: AsyncDisposableStack, { config, ...options }: GatewayOptions): Promise<TestGateway> {
  return startGateway({ ...options, config: { ...CONFIG, ...config } }).then((gateway) => stack.use(gateway));
}

/** Workers that answer inference requests so, one after the other. */
function raw(...answers: ((exchange: RawExchange) => void)[]): Case["setUp"] {
  return async (stack) => {
    let asked = 0;
    const answer = (exchange: RawExchange): void => answers[Math.min(asked++, answers.length - 1)]?.(exchange);
    const engines = await Promise.all(answers.map(() => startRawEngine(answer)));
    for (const engine of engines) stack.use(engine);
    return gatewayFor(stack, { workers: engines.map(({ url }) => url), config: { continueStreams: ["*"] } });
  };
}

const silent = (): void => undefined;

async function blackHole(stack: AsyncDisposableStack): Promise<TestGateway> {
  const { url } = stack.use(await startBlackHole());
  const worker = workerSchema.parse({ url, modelId: "raw" });
  const config = { disableHealthCheck: true, healthCheckTimeoutSecs: 0.1, initialWorkers: [worker] };
  return gatewayFor(stack, { config });
}

/** The only socket to the worker has somebody else's request, which takes its time. */
async function socketTaken(stack: AsyncDisposableStack): Promise<TestGateway> {
  const engine = stack.use(await startRawEngine(silent));
  const gateway = await gatewayFor(stack, { workers: [engine.url], config: { maxConnectionsPerWorker: 1 } });
  const far = FAR_SECS * 1000;
  const timeouts = { connectMs: far, firstByteMs: far, idleMs: far };
  const leave = new AbortController();
  const held = gateway.transport.send(
    { origin: engine.url, method: "POST", path: "/", headers: "", body: undefined, timeouts, deadline: Infinity },
    leave.signal,
  );
  held.catch(() => undefined);
  stack.defer(() => leave.abort());
  await eventually(() => engine.generations === 1, "the socket is taken");
  return gateway;
}

const HTTP: Readonly<Record<string, Case>> = {
  "a worker that does not accept": { setUp: blackHole },
  "the line for a socket": { setUp: socketTaken },
  "a worker that says nothing": { setUp: raw(silent) },
  "a head that is not whole": { setUp: raw(({ write }) => write("HTTP/1.1 200 OK\r\ncontent-")) },
  "a body that is not whole": {
    setUp: raw(({ write }) =>
      write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"a":'),
    ),
  },
  "the body of an error that is not whole": {
    setUp: raw(({ write }) => write("HTTP/1.1 500 No\r\ncontent-length: 99\r\n\r\n{")),
  },
  "a stream without its first event": { stream: true, setUp: raw(({ write }) => write(STREAM_HEAD)) },
  "a stream whose head has gone out before it began": {
    stream: true,
    async setUp(stack) {
      const engine = stack.use(await startRawEngine(silent));
      return gatewayFor(stack, { workers: [engine.url], config: { streamKeepAliveSecs: 0.2 } });
    },
  },
  "a stream that falls silent": { stream: true, setUp: raw(({ write }) => write(STREAM_HEAD + event("one"))) },
  "a stream that does not end": {
    stream: true,
    setUp: raw(({ write, closed }) => {
      write(STREAM_HEAD);
      const timer = setInterval(() => write(event("on and on")), 50);
      void closed.then(() => clearInterval(timer));
    }),
  },
  "the second attempt": { setUp: raw(({ reset }) => setTimeout(reset, LATER_MS), silent) },
  "the rest of a stream from another worker": {
    stream: true,
    orElse: "upstream_reset",
    setUp: raw(({ write, reset }) => {
      write(STREAM_HEAD + event("one"));
      setTimeout(reset, LATER_MS);
    }, silent),
  },
};

function pdOverHttp(dialect: "sglang" | "nixl", side: "prefills" | "decodes", fault: PdFault): Case["setUp"] {
  return async (stack) => {
    const fleet = stack.use(await startPdFleet({ dialect, prefills: 1, decodes: 1, faults: { [side]: [fault] } }));
    return stack.use(await startPdGateway([[dialect, fleet]], { config: CONFIG }));
  };
}

const HTTP_PD: Readonly<Record<string, Case>> = {
  "prefill, asked together": { model: "sim-1", setUp: pdOverHttp("sglang", "prefills", { kind: "hang" }) },
  "decode, asked together": { model: "sim-1", setUp: pdOverHttp("sglang", "decodes", { kind: "hang" }) },
  "prefill, asked first": { model: "sim-1", setUp: pdOverHttp("nixl", "prefills", { kind: "hang" }) },
  "decode, asked second": { model: "sim-1", setUp: pdOverHttp("nixl", "decodes", { kind: "hang" }) },
  "decode within its stream": {
    model: "sim-1",
    stream: true,
    setUp: pdOverHttp("nixl", "decodes", { kind: "slow", eventMs: LATER_MS }),
  },
};

function stalled(afterTokens: number): Case["setUp"] {
  return async (stack) => {
    const engine = stack.use(await startTinyEngine({ fault: () => ({ afterTokens, what: "stall" }) }));
    return gatewayFor(stack, { workers: [engine.url] });
  };
}

/** The worker has the model's tokenizer, and does not come out with it. */
async function tokenizerKept(stack: AsyncDisposableStack): Promise<TestGateway> {
  const once = (message: Uint8Array) =>
    async function* answer(): AsyncGenerator<Uint8Array> {
      yield message;
    };
  const { promise: never } = Promise.withResolvers<Uint8Array>();
  const server = await startRpcServer(
    0,
    new Map([
      [VLLM.healthCheck, once(HealthCheckResponse.encode({ healthy: true, message: "OK" }).finish())],
      [VLLM.getModelInfo, once(GetModelInfoResponse.encode(GetModelInfoResponse.fromPartial({})).finish())],
      [VLLM.getServerInfo, once(new Uint8Array(0))],
      [
        VLLM.getTokenizer,
        async function* keep(): AsyncGenerator<Uint8Array> {
          yield await never;
        },
      ],
    ]),
  );
  stack.defer(() => server.die());
  const worker = workerSchema.parse({ url: `grpc://127.0.0.1:${server.port}`, modelId: "tiny" });
  return gatewayFor(stack, { config: { initialWorkers: [worker] } });
}

const GRPC: Readonly<Record<string, Case>> = {
  "a tokenizer that does not come": { model: "tiny", setUp: tokenizerKept },
  "a worker that says nothing": { model: "tiny", setUp: stalled(0) },
  "an answer that is not whole": { model: "tiny", setUp: stalled(2) },
  "a stream without its first event": { model: "tiny", stream: true, setUp: stalled(0) },
  "a stream that falls silent": { model: "tiny", stream: true, setUp: stalled(2) },
};

function pdOverGrpc(kind: "sglang" | "vllm", stalledSide: "prefill" | "decode"): Case["setUp"] {
  return async (stack) => {
    const setup = stack.use(await startGrpcPd({ kind, count: 1, config: CONFIG }));
    setup.fault = (side) => (side === stalledSide ? { afterTokens: 0, what: "stall" } : undefined);
    return setup.gateway;
  };
}

const GRPC_PD: Readonly<Record<string, Case>> = {
  "prefill, asked together": { model: "tiny-qwen3", setUp: pdOverGrpc("sglang", "prefill") },
  "decode, asked together": { model: "tiny-qwen3", setUp: pdOverGrpc("sglang", "decode") },
  "prefill, asked first": { model: "tiny-qwen3", setUp: pdOverGrpc("vllm", "prefill") },
  "decode, asked second": { model: "tiny-qwen3", stream: true, setUp: pdOverGrpc("vllm", "decode") },
};

async function expectNoneHeld({ context }: TestGateway): Promise<void> {
  const nothing = { inFlight: 0, pendingPromptTokens: 0, decoding: 0 };
  await eventually(async () => {
    const page = context.metrics.expose();
    const isNone = (name: string): boolean => page.includes(`\n${name} 0\n`);
    return (
      Bun.deepEquals(context.ledger.totals(), nothing) &&
      isNone("pointsman_admitted_requests") &&
      isNone("pointsman_queue_depth")
    );
  }, "all counts are back at none");
}

function post(gateway: TestGateway, body: string, length = Buffer.byteLength(body)): string {
  const { host } = new URL(gateway.url);
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n${body}`;
}

const KINDS = { HTTP, "HTTP with prefill apart": HTTP_PD, gRPC: GRPC, "gRPC with prefill apart": GRPC_PD };
for (const [kind, cases] of Object.entries(KINDS)) {
  describe.concurrent(`workers over ${kind}: the request's time ends the wait for`, () => {
    for (const [name, one] of Object.entries(cases)) test(name, () => expectEnded(one), 20_000);
  });
}

async function expectEnded({ model = "raw", stream = false, orElse, setUp }: Case): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const gateway = await setUp(stack);
  const line = gateway.nextLine();
  const started = performance.now();
  const client = await openRaw(gateway.url, post(gateway, JSON.stringify({ model, stream, ...CHAT })));
  await client.closed;
  expect(performance.now() - started).toBeWithin(BOUND_MS - 50, BOUND_MS + LATE_MS);
  const { error } = await line;
  expect(["upstream_timeout", orElse]).toContain(String(error));
  expect(client.received).toContain(`"code":"${String(error)}"`);
  await expectNoneHeld(gateway);
}

describe.concurrent("the request's time ends the wait for the client", () => {
  test("that does not take its stream", async () => {
    await using stack = new AsyncDisposableStack();
    const flood = event("x".repeat(60_000)).repeat(4);
    const gateway = await raw(({ write, closed }) => {
      write(STREAM_HEAD);
      const timer = setInterval(() => write(flood), 2);
      void closed.then(() => clearInterval(timer));
    })(stack);
    const line = gateway.nextLine();
    const started = performance.now();
    const client = await openRaw(gateway.url, post(gateway, JSON.stringify({ model: "raw", stream: true, ...CHAT })));
    await client.until("xxx");
    client.pause();
    await line;
    expect(performance.now() - started).toBeWithin(BOUND_MS - 50, BOUND_MS + LATE_MS);
    await expectNoneHeld(gateway);
    client.hangUp();
  }, 20_000);

  test("that sends its body a byte now and then", async () => {
    await using stack = new AsyncDisposableStack();
    const gateway = await raw(silent)(stack);
    const started = performance.now();
    const client = await openRaw(gateway.url, post(gateway, '{"model":"raw",', 100_000));
    const timer = setInterval(() => client.send(" "), 100);
    await client.closed;
    clearInterval(timer);
    expect(performance.now() - started).toBeWithin(BOUND_MS - 50, BOUND_MS + LATE_MS);
    expect(client.received).toStartWith("HTTP/1.1 408");
    await expectNoneHeld(gateway);
  }, 20_000);
});

test("workers over gRPC: the request's time ends the wait for a worker that does not accept", async () => {
  await using hole = await startBlackHole();
  using transport = new GrpcTransport();
  const far = FAR_SECS * 1000;
  const started = performance.now();
  const call = transport.unary(hole.url.replace("http", "grpc"), VLLM.healthCheck, new Uint8Array(0), {
    deadline: started + BOUND_MS,
    timeouts: { connectMs: far, firstByteMs: far, idleMs: far },
  });
  expect(await call.catch((error: unknown) => error)).toMatchObject({ code: "upstream_timeout" });
  expect(performance.now() - started).toBeWithin(BOUND_MS - 50, BOUND_MS + LATE_MS);
}, 20_000);

import { expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import { endpointAt } from "../../test/support/endpoints.ts";
import { PlayedResponse, type RoutingSetup, setUpRouting } from "../../test/support/routing.ts";
import { GatewayError } from "../errors/errors.ts";
import { StreamContinuation } from "./stream-continuation.ts";
import type { StreamSource } from "./stream-source.ts";

const LOST = new GatewayError("upstream_reset", "gone");

const chunk = (content: string): string =>
  JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: null }] });

interface Setup extends RoutingSetup {
  readonly continuation: StreamContinuation;
  readonly source: StreamSource;
  /** What the next worker was asked, and who was left out. */
  readonly asked: { readonly body: string; readonly lost: readonly string[] }[];
}

function setUp(send?: () => Promise<StreamSource>): Setup {
  const setup = setUpRouting();
  const body = bodyOf({ messages: [{ role: "user", content: "Hi" }], stream: true });
  const continuation = endpointAt("/v1/chat/completions").continuation?.(body);
  if (!continuation) throw new Error("this body cannot be gone on with");
  const asked: Setup["asked"] = [];
  const sourceOf = (url: string): StreamSource => ({
    upstream: new PlayedResponse([]),
    attempt: setup.attempt(setup.add(url, { modelId: "m" })),
  });
  const source = sourceOf("http://one:1");
  const stream = new StreamContinuation({
    continuation,
    metrics: setup.metrics,
    send: (bytes, lost) => {
      asked.push({ body: Buffer.from(bytes).toString(), lost: [...lost] });
      return send ? send() : Promise.resolve(sourceOf(`http://next${asked.length}:1`));
    },
  });
  return { ...setup, continuation: stream, source, asked };
}

test("another worker is asked to go on after the text so far, and the lost one has failed", async () => {
  const { continuation, source, asked, metrics } = setUp();
  continuation.onEvent(chunk("Hello"));
  const next = await continuation.resume(LOST, source);
  expect(next?.attempt.worker.url).toBe("http://next1:1");
  expect(JSON.parse(asked[0]?.body ?? "")).toMatchObject({ continue_final_message: true });
  expect([asked[0]?.lost, source.attempt.failure]).toEqual([[source.attempt.worker.id], LOST]);
  expect(metrics.expose()).toContain('pointsman_stream_continuations_total{code="upstream_reset"} 1');
});

test("what the next worker says fits to what was said, and is taken in the place of its events", async () => {
  const { continuation, source } = setUp();
  continuation.onEvent(chunk("Hello"));
  expect(continuation.isContinuing).toBe(false);
  await continuation.resume(LOST, source);
  expect(continuation.isContinuing).toBe(true);
  continuation.onEvent(chunk(" there"));
  continuation.onEvent("[DONE]");
  const taken = Buffer.from(continuation.takeRewritten()).toString();
  expect([taken.includes('"content":" there"'), taken.endsWith("data: [DONE]\n\n")]).toEqual([true, true]);
  expect(continuation.takeRewritten().length).toBe(0);
});

test("a stream is gone on with twice at most", async () => {
  const { continuation, source } = setUp();
  continuation.onEvent(chunk("Hello"));
  const second = await continuation.resume(LOST, source);
  const third = second && (await continuation.resume(LOST, second));
  expect(third && (await continuation.resume(LOST, third))).toBeUndefined();
  expect(third?.attempt.failure).toBeUndefined();
});

test("a request that is wrong, or that nobody wants, is not gone on with", async () => {
  for (const code of ["upstream_rejected", "client_closed", "upstream_event_too_large"] as const) {
    const { continuation, source, asked } = setUp();
    continuation.onEvent(chunk("Hello"));
    expect(await continuation.resume(new GatewayError(code, code), source)).toBeUndefined();
    expect(asked).toEqual([]);
  }
});

test("the answer of a worker that says in the middle that it is full is gone on with elsewhere", async () => {
  const { continuation, source, asked } = setUp();
  continuation.onEvent(chunk("Hello"));
  expect(await continuation.resume(new GatewayError("upstream_busy", "full"), source)).toBeDefined();
  expect(asked.length).toBe(1);
});

test("where nobody can go on the stream ends with what ended it", async () => {
  const { continuation, source } = setUp(() => Promise.reject(new GatewayError("no_available_workers", "nobody")));
  continuation.onEvent(chunk("Hello"));
  expect(await continuation.resume(LOST, source)).toBeUndefined();
});

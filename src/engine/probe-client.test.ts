import { describe, expect, test } from "bun:test";
import { pageAnswer } from "../../test/support/page-answer.ts";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import { Secret } from "../util/secret.ts";
import { createProbeClient, type ProbeQuestion } from "./probe-client.ts";

const QUESTION: ProbeQuestion = { url: "http://w:1", apiKey: undefined, path: "/health", timeoutMs: 5000 };

function answering(status: number, body = ""): ReturnType<typeof createProbeClient> {
  return createProbeClient({ page: async () => pageAnswer(status, body) });
}

function failing(failure: Error): ReturnType<typeof createProbeClient> {
  return createProbeClient({ page: () => Promise.reject(failure) });
}

describe("a worker", () => {
  test("is well where it answers 2xx, and the rest of its answer is not waited for", async () => {
    let discarded = 0;
    const client = createProbeClient({ page: async () => pageAnswer(204, "", () => (discarded += 1)) });
    expect([await client.health(QUESTION), discarded]).toEqual([undefined, 1]);
  });

  test("that answers otherwise is quoted, on one line and not at length", async () => {
    const failure = await answering(503, `loading\n  the model ${"x".repeat(500)}`).health(QUESTION);
    expect(failure?.code).toBe("upstream_unavailable");
    expect(failure?.reason).toStartWith("GET /health answered 503: loading the model xxx");
    expect(failure?.reason.length).toBeLessThan(250);
  });

  test("that refuses its key is told apart from one that was given none", async () => {
    const without = await answering(401).health(QUESTION);
    const withKey = await answering(403).health({ ...QUESTION, apiKey: new Secret("k") });
    expect([without?.code, withKey?.code]).toEqual(["upstream_auth_failed", "upstream_auth_failed"]);
    expect(without?.reason).toContain("wants a key and has none here");
    expect(withKey?.reason).toContain("refuses its `api_key`");
  });

  test("that is the gateway itself is told so: a ready one would send each request round and round", async () => {
    const failure = await answering(508, '{"error":{"code":"request_loop"}}').health(QUESTION);
    expect(failure?.code).toBe("request_loop");
    expect(failure?.reason).toContain("GET /health came back to this gateway");
  });

  test("that breaks off within its words has its status told", async () => {
    const broken = { ...pageAnswer(500, ""), bytes: () => Promise.reject(new GatewayError("upstream_reset", "gone")) };
    const client = createProbeClient({ page: async () => broken });
    expect((await client.health(QUESTION))?.reason).toBe("GET /health answered 500");
  });
});

describe("a page", () => {
  test("is its JSON", async () => {
    expect(await answering(200, '{"a":1}').page(QUESTION)).toEqual({ kind: "json", value: { a: 1 } });
  });

  test("is not there where the worker says so", async () => {
    for (const status of [404, 405, 501]) expect(await answering(status).page(QUESTION)).toEqual({ kind: "none" });
  });

  test("that is no JSON, and one that is refused, leave open what it says", async () => {
    expect(await answering(200, "<html>").page(QUESTION)).toMatchObject({
      kind: "failed",
      failure: { code: "invalid_upstream_response" },
    });
    expect(await answering(500).page(QUESTION)).toMatchObject({ kind: "failed" });
  });
});

describe("why there is no answer", () => {
  const reasonOf = async (error: Error): Promise<string | undefined> => (await failing(error).health(QUESTION))?.reason;

  test("is told by what to look at", async () => {
    const system = (code: string): Error =>
      new GatewayError("upstream_connect_failed", "no connection", { cause: Object.assign(new Error(code), { code }) });
    expect(await reasonOf(system("ECONNREFUSED"))).toContain("nobody listens");
    expect(await reasonOf(system("ENOTFOUND"))).toContain("does not resolve");
    expect(await reasonOf(system("ECONNRESET"))).toContain("broke the connection");
    expect(await reasonOf(system("EHOSTUNREACH"))).toContain("no way to its address");
    expect(await reasonOf(system("EOTHER"))).toBe("no connection: EOTHER");
  });
});

/** The sentence for operators about a probe that fails with this error. */
async function told(code: ErrorCode, message: string): Promise<string | undefined> {
  const client = failing(new GatewayError(code, message));
  const question = { ...QUESTION, timeoutMs: 1000 };
  const health = await client.health(question);
  const page = await client.page(question);
  expect(page.kind === "failed" && page.failure).toEqual(health ?? false);
  return health && `${health.code}: ${health.reason}`;
}

test("a worker that answers in another protocol is told apart, with the way to name one that speaks gRPC", async () => {
  expect(await told("upstream_protocol_error", "its answer is no HTTP")).toBe(
    "upstream_protocol_error: its answer is no HTTP; a worker that speaks gRPC is named grpc://HOST:PORT",
  );
});

test("a worker that does not answer is told with how long it was waited for", async () => {
  expect(await told("upstream_connect_timeout", "x")).toBe("upstream_connect_timeout: no connection within 1 s");
  expect(await told("upstream_timeout", "x")).toBe("upstream_timeout: GET /health had no answer within 1 s");
  expect(await told("upstream_stalled", "x")).toBe("upstream_stalled: GET /health had no answer within 1 s");
  expect(await told("upstream_closed", "it closed the connection")).toBe("upstream_closed: it closed the connection");
});

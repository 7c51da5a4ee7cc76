import { expect, test } from "bun:test";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import { createProbeClient } from "./probe-client.ts";

const QUESTION = { url: "http://a:1", apiKey: undefined, path: "/health", timeoutMs: 1000 };

/** What operators are told of a worker whose probe fails like this. */
async function told(code: ErrorCode, message: string): Promise<string | undefined> {
  const client = createProbeClient({ page: () => Promise.reject(new GatewayError(code, message)) });
  const health = await client.health(QUESTION);
  const page = await client.page(QUESTION);
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
  expect(await told("upstream_closed", "it closed the connection")).toBe("upstream_closed: it closed the connection");
});

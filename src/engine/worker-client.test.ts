import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { GrpcCallOptions, GrpcClient, GrpcStream } from "../transport/grpc/grpc-client.ts";
import type { Transport, UpstreamRequest, UpstreamResponse } from "../transport/upstream.ts";
import { Secret } from "../util/secret.ts";
import { addresseeOf, WorkerClient } from "./worker-client.ts";

interface GrpcCall {
  readonly origin: string;
  readonly method: string;
  readonly options: GrpcCallOptions;
}

function setUp(): { client: WorkerClient; sent: UpstreamRequest[]; calls: GrpcCall[] } {
  const sent: UpstreamRequest[] = [];
  const calls: GrpcCall[] = [];
  const rest = { openSockets: 0, failAll: () => undefined, forget: () => undefined, renew: () => undefined };
  const transport: Transport = {
    ...rest,
    send: (request) => {
      sent.push(request);
      return new Promise<UpstreamResponse>(() => undefined);
    },
  };
  const stream: GrpcStream = {
    hasMessages: false,
    read: () => undefined,
    readAvailable: () => [],
    follow: () => Promise.resolve(),
    discard: () => undefined,
  };
  const grpc: GrpcClient = {
    ...rest,
    unary: (origin, method, _request, options) => {
      calls.push({ origin, method, options });
      return Promise.resolve(new Uint8Array(0));
    },
    serverStream: (origin, method, _request, options) => {
      calls.push({ origin, method, options });
      return stream;
    },
  };
  const clock = new ManualClock();
  clock.advance(1000);
  return { client: new WorkerClient({ transport, grpc, clock, via: "1.1 pointsman-0a1b2c3d" }), sent, calls };
}

const WITH_KEY = { url: "http://w:1", apiKey: new Secret("hush") };
const WITHOUT = { url: "http://w:1", apiKey: undefined };
const WITHIN_200 = { connectMs: 200, firstByteMs: 200, idleMs: 200 };

test("a page is asked for on a connection of its own, within one time, with the worker's key", () => {
  const { client, sent } = setUp();
  void client.page(WITH_KEY, { method: "GET", path: "/version", timeoutMs: 200 });
  const [request] = sent;
  expect(request).toMatchObject({
    origin: "http://w:1",
    method: "GET",
    path: "/version",
    body: undefined,
    isLast: true,
    timeouts: WITHIN_200,
    deadline: 1200,
  });
  expect(request?.headers.split("\r\n")).toContain("authorization: Bearer hush");
  expect(request?.headers.split("\r\n")).toContain("connection: close");
});

test("a worker without a key is sent none", () => {
  const { client, sent } = setUp();
  void client.page(WITHOUT, { method: "GET", path: "/version", timeoutMs: 200 });
  expect(sent[0]?.headers).not.toContain("authorization");
});

test("a POST has an empty body", () => {
  const { client, sent } = setUp();
  void client.page(WITHOUT, { method: "POST", path: "/flush_cache", timeoutMs: 200 });
  expect(sent[0]?.body).toEqual(new Uint8Array(0));
});

test("calls and streams over gRPC have the same time and key", async () => {
  const { client, calls } = setUp();
  await client.call(WITH_KEY, "/a.B/C", new Uint8Array(0), 200);
  client.stream(WITH_KEY, "/a.B/D", new Uint8Array(0), 200);
  await client.call(WITHOUT, "/a.B/E", new Uint8Array(0), 200);
  const options = { deadline: 1200, timeouts: WITHIN_200 };
  const metadata = { authorization: "Bearer hush" };
  expect(calls).toEqual([
    { origin: "http://w:1", method: "/a.B/C", options: { ...options, metadata } },
    { origin: "http://w:1", method: "/a.B/D", options: { ...options, metadata } },
    { origin: "http://w:1", method: "/a.B/E", options },
  ]);
});

test("a worker is asked at its own address with its own key", () => {
  const apiKey = new Secret("hush");
  expect(addresseeOf(setUpFleet().add("http://w:1", { apiKey }))).toEqual({ url: "http://w:1", apiKey });
});

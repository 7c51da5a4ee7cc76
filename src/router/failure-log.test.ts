import { expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { GatewayError } from "../errors/errors.ts";
import { Secret } from "../util/secret.ts";
import type { Worker } from "../worker/worker.ts";
import { FailureLog, type FailedRequest, withoutEcho } from "./failure-log.ts";

const request = (body: string): FailedRequest => ({
  record: { requestId: "r1" },
  body: { bytes: Buffer.from(body) },
});
const failed = (cause: unknown): GatewayError => new GatewayError("upstream_error", "the worker failed", { cause });

function setUp(): FleetSetup & { readonly worker: Worker; tell(words: unknown, body?: string): string | undefined } {
  const fleet = setUpFleet();
  const worker = fleet.add("http://one:1", { apiKey: new Secret("key-of-the-worker") });
  const logger = { ...NO_LOG, warn: (fields: object) => told.push(fields) };
  const log = new FailureLog(logger, fleet.clock);
  return { ...fleet, worker, tell: (words, body = "{}") => log.tell(worker, failed(words), request(body)) };
}

const told: object[] = [];
const NO_LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

test("a worker's own words are told, with the request and the worker, on one line", () => {
  told.length = 0;
  const { tell } = setUp();
  expect(tell("HTTP 500: CUDA out of memory.\nTried to allocate 2 GiB")).toBe(
    "HTTP 500: CUDA out of memory. Tried to allocate 2 GiB",
  );
  expect(told).toEqual([
    expect.objectContaining({
      request_id: "r1",
      url: "http://one:1",
      code: "upstream_error",
      said: "HTTP 500: CUDA out of memory. Tried to allocate 2 GiB",
      not_told: 0,
    }),
  ]);
});

test("a worker that fails all the time has a line a second, which says how many were not told", () => {
  told.length = 0;
  const { tell, clock } = setUp();
  for (let turn = 0; turn < 100; turn += 1) tell("no");
  clock.advance(1000);
  tell("no");
  expect(told.map((fields) => Reflect.get(fields, "not_told"))).toEqual([0, 99]);
});

test("what stands in the request as well, the worker's key, and more than a few lines are not told", () => {
  const echo = "the secret plans of the railway";
  const { tell, clock } = setUp();
  const next = (words: string, body: string): string | undefined => {
    clock.advance(1000);
    return tell(words, body);
  };
  const body = JSON.stringify({ messages: [{ content: echo }] });
  expect(next(`bad prompt: ${echo} (6 words)`, body)).toBe("bad prompt: ... (6 words)");
  expect(next(body, body)).toBe("...");
  expect(next("Bearer key-of-the-worker is wrong", body)).toBe("Bearer ... is wrong");
  expect(next("x".repeat(5000), body)?.length).toBe(300);
  expect(next("\u001b[31mred\u0000", body)).toBe(" [31mred ");
  expect(next("any", "y".repeat(600_000))).toBe("the worker failed");
});

test("words are compared piece by piece, wherever the echo begins", () => {
  const request1 = Buffer.from('{"prompt":"abcdefghijklmnop"}');
  for (let from = 0; from <= 8; from += 1) {
    const echo = "abcdefghijklmnop".slice(from);
    expect(withoutEcho(`x ${echo} y`, request1)).toBe("x ... y");
  }
  expect(withoutEcho("short: abc", request1)).toBe("short: abc");
});

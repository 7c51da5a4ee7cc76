import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { type ClientRequest, RequestHeaders } from "../transport/downstream.ts";
import { ForwardedRequest } from "../transport/forwarded-request.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { readBody } from "./body.ts";
import { readControlBody } from "./control-body.ts";

/** A request whose body comes in these pieces, and that records whether it is read. */
function request(
  pieces: readonly (string | Uint8Array)[],
  type = "application/json",
): ClientRequest & { reads: number; fields: Map<string, string> } {
  const left = pieces.map((piece) => (typeof piece === "string" ? new TextEncoder().encode(piece) : piece));
  const fields = new Map([["content-type", type]]);
  return {
    method: "POST",
    path: "/workers",
    query: "",
    peerAddress: "127.0.0.1",
    fields,
    headers: new RequestHeaders(fields),
    signal: new LeaveController(),
    hasBody: true,
    isWhole: true,
    reads: 0,
    read() {
      this.reads += 1;
      return left.shift();
    },
    hold: () => undefined,
    letGo: () => undefined,
  };
}

async function failureCode(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
  );
}

describe("the body of a request that is not inference", () => {
  test("is not read where the route takes none", async () => {
    const asked = request(["{}"]);
    expect(await readControlBody({ maxBodyBytes: undefined }, asked)).toBeUndefined();
    expect(asked.reads).toBe(0);
  });

  test("is read whole within the route's bound", async () => {
    const body = await readControlBody({ maxBodyBytes: 100 }, request(['{"url":', '"x"}']));
    expect(new TextDecoder().decode(body)).toBe('{"url":"x"}');
  });

  test("that is too large, or of another kind, is refused", async () => {
    expect(await failureCode(readControlBody({ maxBodyBytes: 5 }, request(["1234", "5678"])))).toBe(
      "request_too_large",
    );
    expect(await failureCode(readControlBody({ maxBodyBytes: 5 }, request(["1"], "text/plain")))).toBe(
      "unsupported_media_type",
    );
  });

  test("that came encoded is decoded once, also where another thread reads the request", async () => {
    const asked = request([gzipSync('{"url":"x"}')]);
    asked.fields.set("content-encoding", "gzip").set("content-length", "31");
    const body = await readControlBody({ maxBodyBytes: 100 }, asked);
    expect(new TextDecoder().decode(body)).toBe('{"url":"x"}');
    const { method, path, query, peerAddress, headers, signal } = asked;
    const told = new ForwardedRequest({ method, path, query, peerAddress, headers: headers.entries(), body }, signal);
    const again = await readBody(told, { maxBytes: 100, timeoutMs: 1000, stallMs: 1000 });
    expect(new TextDecoder().decode(again)).toBe('{"url":"x"}');
  });
});

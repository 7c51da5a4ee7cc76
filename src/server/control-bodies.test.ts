import { describe, expect, test } from "bun:test";
import { type ClientRequest, RequestHeaders } from "../transport/downstream.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { ControlBodies } from "./control-bodies.ts";

/** A request whose body comes in these pieces; whether somebody reads it is seen. */
function request(pieces: readonly string[], type = "application/json"): ClientRequest & { reads: number } {
  const left = pieces.map((text) => new TextEncoder().encode(text));
  return {
    method: "POST",
    path: "/workers",
    query: "",
    peerAddress: "127.0.0.1",
    headers: new RequestHeaders(new Map([["content-type", type]])),
    signal: new LeaveController(),
    hasBody: true,
    reads: 0,
    read() {
      this.reads += 1;
      return left.shift();
    },
  };
}

async function failureCode(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
  );
}

describe("bodies of requests that are not inference", () => {
  test("are not read where the route takes none", async () => {
    const bodies = new ControlBodies();
    const asked = request(["{}"]);
    expect((await bodies.read({ maxBodyBytes: undefined }, asked)).bytes).toBeUndefined();
    expect([asked.reads, bodies.held]).toEqual([0, 0]);
  });

  test("are counted while they are held, and given back", async () => {
    const bodies = new ControlBodies();
    const body = await bodies.read({ maxBodyBytes: 100 }, request(['{"url":', '"x"}']));
    expect([new TextDecoder().decode(body.bytes), bodies.held]).toEqual(['{"url":"x"}', 11]);
    body[Symbol.dispose]();
    expect(bodies.held).toBe(0);
  });

  test("that are too large, or of another kind, are refused and leave nothing held", async () => {
    const bodies = new ControlBodies();
    expect(await failureCode(bodies.read({ maxBodyBytes: 5 }, request(["1234", "5678"])))).toBe("request_too_large");
    expect(await failureCode(bodies.read({ maxBodyBytes: 5 }, request(["1"], "text/plain")))).toBe(
      "unsupported_media_type",
    );
    expect(bodies.held).toBe(0);
  });

  test("share one budget: what is beyond it is refused before it is held", async () => {
    const bodies = new ControlBodies();
    const piece = " ".repeat(32 * 1024 * 1024);
    const most = 64 * 1024 * 1024;
    const one = await bodies.read({ maxBodyBytes: most }, request([piece]));
    const two = await bodies.read({ maxBodyBytes: most }, request([piece]));
    expect(await failureCode(bodies.read({ maxBodyBytes: most }, request(["{}"])))).toBe("memory_full");
    one[Symbol.dispose]();
    two[Symbol.dispose]();
    expect(bodies.held).toBe(0);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { GrpcStream } from "../../src/transport/grpc/grpc-client.ts";
import type { GrpcTransport } from "../../src/transport/grpc/grpc-transport.ts";
import { callOptions, failure, failureCode, PATIENT, readAll, startTransport } from "../grpc/calls.ts";
import { type CallPlan, type GrpcServer, planBytes, SERVER_KINDS, startGrpcServer } from "../grpc/grpc-server.ts";

/** The same behaviour against every server that there is: grpc-js under Bun and Node, grpcio under Python. */
for (const kind of SERVER_KINDS) {
  if (kind.missing !== undefined) console.warn(`skipped: ${kind.name}: ${kind.missing}`);
  else if (kind.holdsUpOthers)
    console.warn(`skipped: ${kind.name}, others beside a still reader: ${kind.holdsUpOthers}`);
  describe.skipIf(kind.missing !== undefined)(kind.name, () => {
    let server: GrpcServer;
    let transport: GrpcTransport;
    beforeAll(async () => {
      server = await startGrpcServer(kind);
      transport = startTransport();
    });
    afterAll(async () => {
      transport[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    });
    const open = (plan: CallPlan, own = {}): GrpcStream =>
      transport.serverStream(server.origin, "/test.Test/Stream", planBytes(plan), callOptions(transport, own));
    const ask = (plan: CallPlan, own = {}): Promise<Uint8Array> =>
      transport.unary(server.origin, "/test.Test/Unary", planBytes(plan), callOptions(transport, own));

    test("every message of a stream arrives whole and in order", async () => {
      const all = await readAll(open({ id: "order", count: 500, size: 33 }));
      expect(all.map((message) => [message.length, message[0]])).toEqual(
        Array.from({ length: 500 }, (_, index) => [33, index % 251]),
      );
    });

    test("a stream without messages ends at once", async () => {
      expect(await readAll(open({ id: "none", count: 0 }))).toEqual([]);
    });

    test("empty messages count as messages", async () => {
      expect((await readAll(open({ id: "empty", count: 3, size: 0 }))).map((message) => message.length)).toEqual([
        0, 0, 0,
      ]);
    });

    test("one message for one", async () => {
      expect(await ask({ id: "one", size: 12 })).toEqual(Buffer.alloc(12, 7));
    });

    test("several messages that are there cost one read", async () => {
      const stream = open({ id: "batch", count: 50, size: 20 });
      const first = await stream.readAvailable();
      await Bun.sleep(100);
      const rest = await stream.readAvailable();
      expect(first.length + rest.length).toBe(50);
      expect(await stream.readAvailable()).toEqual([]);
    });

    test("messages of megabytes pass both ways", async () => {
      const [message] = await readAll(open({ id: "big", count: 1, size: 5_000_000, padding: 3_000_000 }));
      expect(message?.length).toBe(5_000_000);
      expect((await server.saw("start", "big")).requestBytes).toBeGreaterThan(3_000_000);
    });

    test("a message beyond the limit is refused, and the worker sees the call cancelled", async () => {
      using small = startTransport({ maxMessageBytes: 1000 });
      const request = planBytes({ id: "limit", count: 1, size: 1001, stalls: true });
      const stream = small.serverStream(server.origin, "/test.Test/Stream", request, callOptions(small));
      const error = await failure(readAll(stream));
      expect([error.code, error.status]).toEqual(["invalid_upstream_response", 502]);
      await server.saw("cancelled", "limit");
    });

    test("metadata arrives", async () => {
      await ask({ id: "metadata" }, { metadata: { traceparent: "00-1234-5678-01", "x-key": "a b" } });
      const { metadata } = await server.saw("start", "metadata");
      expect(metadata).toMatchObject({ traceparent: "00-1234-5678-01", "x-key": "a b" });
    });

    test("the worker is told how much time is left", async () => {
      await ask({ id: "left" }, { deadline: transport.now() + 5000 });
      const { leftMs } = await server.saw("start", "left");
      expect(leftMs).toBeGreaterThan(4000);
      expect(leftMs).toBeLessThanOrEqual(5001);
    });

    test("past the deadline the call ends, for both sides", async () => {
      const began = performance.now();
      const code = await failureCode(readAll(open({ id: "late", stalls: true }, { deadline: transport.now() + 500 })));
      expect(code).toBe("upstream_timeout");
      expect(performance.now() - began).toBeLessThan(900);
      await server.saw("cancelled", "late");
    });

    test("discarding a stream cancels it at the worker", async () => {
      const stream = open({ id: "discard", count: 1, stalls: true });
      await stream.read();
      stream.discard();
      await server.saw("cancelled", "discard");
      expect(await failureCode(Promise.resolve(stream.read()))).toBe("client_closed");
    });

    test("a client that leaves before the first message cancels the call at the worker", async () => {
      const controller = new AbortController();
      const reading = failureCode(readAll(open({ id: "abort", stalls: true }, { signal: controller.signal })));
      await server.saw("start", "abort");
      controller.abort();
      expect(await reading).toBe("client_closed");
      await server.saw("cancelled", "abort");
    });

    test("a first message that does not come is a timeout, one that does not follow a stall", async () => {
      const timeouts = { ...PATIENT, firstByteMs: 300, idleMs: 300 };
      expect(await failureCode(readAll(open({ id: "first", stalls: true }, { timeouts })))).toBe("upstream_timeout");
      const stalled = open({ id: "stalled", count: 2, stalls: true }, { timeouts });
      expect(await failureCode(readAll(stalled))).toBe("upstream_stalled");
    });

    test("a slow stream is no stall", async () => {
      const timeouts = { ...PATIENT, idleMs: 400 };
      expect(await readAll(open({ id: "slow", count: 8, paceMs: 100 }, { timeouts }))).toHaveLength(8);
    });

    test("a reader that stands still stops the worker, and gets everything in the end", async () => {
      const stream = open({ id: "pressure", count: 4000, size: 10_000 });
      await stream.read();
      await Bun.sleep(400);
      server.tell("written pressure");
      const { bytes } = await server.saw("written", "pressure");
      // 40 MB in all. The stream's window, what we take ahead, and the buffers of the worker's own library.
      expect(bytes).toBeLessThan(4_000_000);
      expect(await readAll(stream)).toHaveLength(3999);
    });

    test.skipIf(kind.holdsUpOthers !== undefined)(
      "a reader that stands still does not hold up others on the same connection",
      async () => {
        const stream = open({ id: "still", count: 100, size: 10_000 });
        await stream.read();
        // Both are four windows long: the first cannot end unread, nor the other without being given more.
        expect(await readAll(open({ id: "beside", count: 100, size: 10_000 }))).toHaveLength(100);
        expect(await readAll(stream)).toHaveLength(99);
        expect(transport.openSockets).toBe(1);
      },
    );

    test.each([
      [1, "upstream_closed", 502],
      [2, "upstream_error", 500],
      [3, "upstream_rejected", 400],
      [4, "upstream_timeout", 504],
      [5, "upstream_model_missing", 404],
      [6, "upstream_rejected", 409],
      [7, "upstream_auth_failed", 502],
      [8, "upstream_busy", 503],
      [9, "upstream_rejected", 400],
      [10, "upstream_error", 500],
      [11, "upstream_rejected", 400],
      [12, "upstream_unimplemented", 501],
      [13, "upstream_error", 500],
      [14, "upstream_busy", 503],
      [15, "upstream_error", 500],
      [16, "upstream_auth_failed", 502],
    ] as const)("status %i before any message is %s", async (status, code, http) => {
      for (const outcome of [ask({ id: "status", status }), readAll(open({ id: "status", status }))]) {
        const error = await failure(outcome);
        expect([error.code, error.status]).toEqual([code, http]);
      }
    });

    test("a status within a stream comes after its messages, and nothing may be sent again", async () => {
      const stream = open({ id: "within", count: 3, status: 14, message: "draining" });
      for (let count = 0; count < 3; count += 1) expect(await stream.read()).toHaveLength(10);
      const error = await failure(Promise.resolve(stream.read()));
      expect([error.code, error.row.retry]).toEqual(["upstream_stream_error", "never"]);
    });

    test("what the worker says of the request is passed on, without its address", async () => {
      const message = `bad größe at ${server.origin.slice(7)}: 100% sure`;
      expect((await failure(ask({ id: "words", status: 3, message }))).message).toBe(
        "bad größe at the worker: 100% sure",
      );
    });

    test("what it says of its own failure is not", async () => {
      const { message } = await failure(ask({ id: "secret", status: 13, message: "at /root/model.py" }));
      expect(message).toBe("the worker failed on this request");
    });

    test("a method that the worker does not have", async () => {
      const call = transport.unary(server.origin, "/test.Test/Nothing", new Uint8Array(0), callOptions(transport));
      expect(await failureCode(call)).toBe("upstream_unimplemented");
    });

    test("1000 calls one after the other, over one connection", async () => {
      for (let index = 0; index < 1000; index += 1) {
        expect(await readAll(open({ id: "sequential", count: 2 }))).toHaveLength(2);
      }
      expect(transport.openSockets).toBe(1);
    });

    test("200 streams at once", async () => {
      const all = await Promise.all(
        Array.from({ length: 200 }, () => readAll(open({ id: "concurrent", count: 20, paceMs: 2 }))),
      );
      expect(all.map((messages) => messages.length)).toEqual(Array.from({ length: 200 }, () => 20));
    });

    test("a worker that drains lets what runs end, and takes nothing new", async () => {
      await using draining = await startGrpcServer(kind);
      using own = startTransport();
      const request = planBytes({ id: "drained", count: 10, paceMs: 50 });
      const stream = own.serverStream(draining.origin, "/test.Test/Stream", request, callOptions(own));
      await stream.read();
      draining.tell("drain");
      expect(await readAll(stream)).toHaveLength(9);
      await draining.saw("drained");
      const next = own.unary(draining.origin, "/test.Test/Unary", planBytes({ id: "next" }), callOptions(own));
      expect(await failureCode(next)).toBe("upstream_connect_failed");
    });

    test("a worker that is killed within a stream is a reset, one that stands still a stall", async () => {
      await using killed = await startGrpcServer(kind);
      using own = startTransport({ keepalive: { intervalMs: 300, timeoutMs: 300 } });
      const request = planBytes({ id: "killed", count: 1, stalls: true });
      const stream = own.serverStream(killed.origin, "/test.Test/Stream", request, callOptions(own));
      await stream.read();
      killed.signal("SIGKILL");
      expect(await failureCode(readAll(stream))).toBe("upstream_reset");

      await using stopped = await startGrpcServer(kind);
      const frozen = own.serverStream(stopped.origin, "/test.Test/Stream", request, callOptions(own));
      await frozen.read();
      // Alive and silent is no failure: it answers when it is asked for a sign of life.
      await Bun.sleep(1500);
      stopped.signal("SIGSTOP");
      const began = performance.now();
      expect(await failureCode(readAll(frozen))).toBe("upstream_stalled");
      expect(performance.now() - began).toBeLessThan(1500);
      expect(own.openSockets).toBe(0);
    });
  });
}

import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import type { GatewayError } from "../../src/errors/errors.ts";
import { callOptions, failure, failureCode, PATIENT, readAll, startTransport } from "../grpc/calls.ts";
import { FRAME, grpcMessage, type RawHttp2Connection, startRawHttp2 } from "../grpc/raw-http2.ts";
import { startBlackHole } from "../support/black-hole.ts";

const METHOD = "/test.Test/Stream";
const REQUEST = Buffer.from("request");
const TOKEN = Buffer.from("token");
const CANCEL = 8;
const SETTINGS_MAX_CONCURRENT_STREAMS = 3;

type Act = (connection: RawHttp2Connection, streamId: number) => void;

/** How a call ends on which the worker does this. */
async function outcome(act: Act): Promise<string> {
  await using server = await startRawHttp2({ onRequest: act });
  using transport = startTransport();
  const timeouts = { ...PATIENT, firstByteMs: 700, idleMs: 700 };
  const stream = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport, { timeouts }));
  let messages = 0;
  const read = async (): Promise<void> => {
    while ((await stream.read()) !== undefined) messages += 1;
  };
  const error = await read().then(
    () => undefined,
    (thrown: GatewayError) => thrown,
  );
  return `${messages} ${error?.code ?? "OK"}`;
}

function answering(act: Act): Act {
  return (connection, streamId) => {
    connection.accept(streamId);
    connection.message(streamId, TOKEN);
    act(connection, streamId);
  };
}

const nothing: Act = () => undefined;

const CASES: readonly (readonly [string, Act, string])[] = [
  ["a good answer", answering((c, id) => c.trailers(id, 0)), "1 OK"],
  ["an answer of trailers only", (c, id) => c.headers(id, { ":status": "200", "grpc-status": "0" }, true), "0 OK"],
  [
    "an error of trailers only",
    (c, id) => c.headers(id, { ":status": "200", "content-type": "application/grpc", "grpc-status": "3" }, true),
    "0 upstream_rejected",
  ],
  [
    "an informational answer before the real one",
    (c, id) => {
      c.headers(id, { ":status": "103" });
      answering(() => c.trailers(id, 0))(c, id);
    },
    "1 OK",
  ],
  ["an end without trailers", answering((c, id) => c.data(id, new Uint8Array(0), true)), "1 upstream_truncated"],
  [
    "trailers within a message",
    answering((c, id) => (c.data(id, Uint8Array.of(0, 0)), c.trailers(id, 0))),
    "1 upstream_truncated",
  ],
  ["trailers without a status", answering((c, id) => c.headers(id, { "x-other": "1" }, true)), "1 upstream_truncated"],
  [
    "a status that is no number",
    answering((c, id) => c.headers(id, { "grpc-status": "x" }, true)),
    "1 upstream_stream_error",
  ],
  ["a reset within the stream", answering((c, id) => c.reset(id, 2)), "1 upstream_reset"],
  ["a cancel within the stream", answering((c, id) => c.reset(id, 8)), "1 upstream_reset"],
  ["a reset before the answer", (c, id) => c.reset(id, 2), "0 upstream_closed"],
  ["a reset for a protocol error before the answer", (c, id) => c.reset(id, 1), "0 upstream_protocol_error"],
  ["a reset to calm us before the answer", (c, id) => c.reset(id, 11), "0 upstream_busy"],
  ["every stream refused", (c, id) => c.reset(id, 7), "0 upstream_not_reached"],
  ["a connection ended before the answer", (c) => c.end(), "0 upstream_closed"],
  ["a connection broken before the answer", (c) => c.destroy(), "0 upstream_closed"],
  ["a connection ended within the stream", answering((c) => c.end()), "1 upstream_reset"],
  ["a connection broken within the stream", answering((c) => c.destroy()), "1 upstream_reset"],
  ["silence", nothing, "0 upstream_timeout"],
  ["silence after the head", (c, id) => c.accept(id), "0 upstream_timeout"],
  ["silence within the stream", answering(nothing), "1 upstream_stalled"],
  ["frames for a stream that nobody opened", (c) => c.accept(99), "0 upstream_timeout"],
  ["garbage in place of frames", (c) => c.write(Buffer.alloc(300, 0x41)), "0 upstream_protocol_error"],
  ["garbage within the stream", answering((c) => c.write(Buffer.alloc(300, 0x41))), "1 upstream_reset"],
  ["data before the head", (c, id) => c.message(id, TOKEN), "0 upstream_protocol_error"],
  ["a head that ends nowhere", (c, id) => hugeHead(c, id), "0 upstream_protocol_error"],
  [
    "a head of 20 kB",
    (c, id) => c.headers(id, { ":status": "200", "x-a": "a".repeat(16_300), "x-b": "b".repeat(3000) }),
    "0 upstream_protocol_error",
  ],
  [
    "a frame of an unknown type",
    (c, id) => (c.frame(0xbb, 0, 0, TOKEN), answering(() => c.trailers(id, 0))(c, id)),
    "1 OK",
  ],
  [
    "a message flag that means nothing",
    (c, id) => (c.accept(id), c.data(id, grpcMessage(TOKEN, 2))),
    "0 upstream_protocol_error",
  ],
  [
    "a message of 4 GB",
    (c, id) => (c.accept(id), c.data(id, Uint8Array.of(0, 255, 255, 255, 255))),
    "0 invalid_upstream_response",
  ],
  ["compression in something unknown", (c, id) => compressed(c, id, "zstd", TOKEN), "0 upstream_protocol_error"],
  ["compression that nobody named", (c, id) => compressed(c, id, undefined, TOKEN), "0 upstream_protocol_error"],
  ["gzip that is none", (c, id) => compressed(c, id, "gzip", TOKEN), "0 upstream_protocol_error"],
  ["gzip", (c, id) => compressed(c, id, "gzip", gzipSync(TOKEN)), "1 OK"],
  [
    "a gzip bomb",
    (c, id) => compressed(c, id, "gzip", gzipSync(Buffer.alloc(100_000_000))),
    "0 invalid_upstream_response",
  ],
  [
    "a page of HTML",
    (c, id) => c.headers(id, { ":status": "200", "content-type": "text/html" }),
    "0 upstream_protocol_error",
  ],
  ["a proxy's 503", (c, id) => c.headers(id, { ":status": "503" }, true), "0 upstream_busy"],
  ["a proxy's 404", (c, id) => c.headers(id, { ":status": "404" }, true), "0 upstream_unimplemented"],
  ["a GOAWAY for an error within the stream", answering((c, id) => c.goaway(id, 2)), "1 upstream_reset"],
];

describe("what a worker can do wrong, and what it comes to", () => {
  for (const [name, act, expected] of CASES) {
    test(name, async () => {
      expect(await outcome(act)).toBe(expected);
    });
  }
});

function hugeHead(connection: RawHttp2Connection, streamId: number): void {
  // A literal whose length says 255,999 bytes: the frames that go on with it never end the head.
  connection.frame(FRAME.headers, 0, streamId, Buffer.from([0, 1, 0x78, 127, 0x80, 0xcf, 0x0f]));
  for (let count = 0; count < 30; count += 1) {
    connection.frame(FRAME.continuation, 0, streamId, Buffer.alloc(16_000, 0x61));
  }
}

function compressed(
  connection: RawHttp2Connection,
  streamId: number,
  encoding: string | undefined,
  body: Uint8Array,
): void {
  connection.headers(streamId, {
    ":status": "200",
    "content-type": "application/grpc",
    ...(encoding === undefined ? {} : { "grpc-encoding": encoding }),
  });
  const message = grpcMessage(body, 1);
  for (let at = 0; at < message.length; at += 16_000) connection.data(streamId, message.subarray(at, at + 16_000));
  connection.trailers(streamId, 0);
}

describe("reaching a worker", () => {
  test("a port that refuses", async () => {
    using transport = startTransport();
    const began = performance.now();
    const call = transport.unary("grpc://127.0.0.1:1", METHOD, REQUEST, callOptions(transport));
    const error = await failure(call);
    expect([error.code, error.row.retry]).toEqual(["upstream_connect_failed", "reachable_elsewhere"]);
    expect(performance.now() - began).toBeLessThan(500);
    expect(transport.openSockets).toBe(0);
  });

  test("a port that never accepts, and one that never says its settings", async () => {
    await using hole = await startBlackHole();
    await using mute = await startRawHttp2({ onOpen: () => undefined });
    using transport = startTransport();
    const options = callOptions(transport, { timeouts: { ...PATIENT, connectMs: 300 } });
    for (const origin of [hole.url.replace("http", "grpc"), mute.origin]) {
      const began = performance.now();
      const error = await failure(transport.unary(origin, METHOD, REQUEST, options));
      expect([error.code, error.row.retry]).toEqual(["upstream_connect_timeout", "reachable_elsewhere"]);
      expect(performance.now() - began).toBeLessThan(900);
    }
    expect(mute.connections[0]?.frames.some(({ type }) => type === FRAME.headers)).toBe(false);
    expect(transport.openSockets).toBe(0);
  });

  test("an HTTP/1.1 server on the port", async () => {
    await using server = await startRawHttp2({
      onOpen: (c) => c.write(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")),
    });
    using transport = startTransport();
    expect(await failureCode(transport.unary(server.origin, METHOD, REQUEST, callOptions(transport)))).toBe(
      "upstream_connect_failed",
    );
  });

  test("one who leaves while the connection is made is let go at once", async () => {
    await using hole = await startBlackHole();
    using transport = startTransport();
    const controller = new AbortController();
    const options = callOptions(transport, { signal: controller.signal });
    const call = transport.unary(hole.url.replace("http", "grpc"), METHOD, REQUEST, options);
    setTimeout(() => controller.abort(), 50);
    expect(await failureCode(call)).toBe("client_closed");
  });

  test("a time that has passed, and one who has left already, reach nobody", async () => {
    await using server = await startRawHttp2({});
    using transport = startTransport();
    const late = callOptions(transport, { deadline: transport.now() - 1 });
    expect(await failureCode(transport.unary(server.origin, METHOD, REQUEST, late))).toBe("upstream_timeout");
    const left = callOptions(transport, { signal: AbortSignal.abort() });
    expect(await failureCode(transport.unary(server.origin, METHOD, REQUEST, left))).toBe("client_closed");
    expect(server.connections).toHaveLength(0);
  });

  test("a worker that closed the idle connection meanwhile is no fault of the worker", async () => {
    await using server = await startRawHttp2({
      onRequest(connection, streamId) {
        if (streamId === 1) answering(() => connection.trailers(streamId, 0))(connection, streamId);
        else connection.end();
      },
    });
    using transport = startTransport();
    const call = (): Promise<Uint8Array> => transport.unary(server.origin, METHOD, REQUEST, callOptions(transport));
    await call();
    const error = await failure(call());
    expect([error.code, error.row.breaker]).toEqual(["upstream_stale_socket", "nothing"]);
    // The next one goes over a new connection.
    await call();
    expect(server.connections).toHaveLength(2);
  });
});

describe("GOAWAY", () => {
  test("a call above the last stream goes over a new connection, one below it ends on the old one", async () => {
    const seen: string[] = [];
    await using server = await startRawHttp2({
      onRequest(connection, streamId) {
        const index = server.connections.indexOf(connection);
        seen.push(`${index}:${streamId}`);
        if (streamId === 3) connection.goaway(1, 0);
        else if (index === 0) connection.accept(streamId);
        else answering(() => connection.trailers(streamId, 0))(connection, streamId);
      },
    });
    using transport = startTransport();
    const below = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport));
    const old = await connectionOf(server);
    await old.saw(({ type }) => type === FRAME.headers);
    const above = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport));
    expect(await readAll(above)).toHaveLength(1);
    old.message(1, TOKEN);
    old.trailers(1, 0);
    expect(await readAll(below)).toHaveLength(1);
    await old.closed;
    expect(seen).toEqual(["0:1", "0:3", "1:1"]);
    expect(transport.openSockets).toBe(1);
  });

  test("a server that drains one connection after the other loses none of 300 calls", async () => {
    let served = 0;
    await using server = await startRawHttp2({
      onRequest(connection, streamId) {
        // Each connection serves twenty calls, then says that it goes.
        if (streamId > 39) return;
        if (streamId === 39) connection.goaway(39, 0);
        setTimeout(() => {
          served += 1;
          answering(() => connection.trailers(streamId, 0))(connection, streamId);
        }, 5);
      },
    });
    using transport = startTransport();
    const outcomes: Promise<string>[] = [];
    for (let count = 0; count < 300; count += 1) {
      const call = transport.unary(server.origin, METHOD, REQUEST, callOptions(transport));
      outcomes.push(
        call.then(
          () => "OK",
          (error: GatewayError) => error.code,
        ),
      );
      if (count % 3 === 0) await Bun.sleep(2);
    }
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["OK"]));
    expect(served).toBe(300);
    expect(server.connections.length).toBeGreaterThan(10);
  });

  test("a worker that finds the pings too many is asked less often", async () => {
    await using server = await startRawHttp2({
      onRequest(connection, streamId) {
        connection.accept(streamId);
        if (server.connections.length === 1) connection.goaway(streamId, 11, "too_many_pings");
      },
    });
    using transport = startTransport({ keepalive: { intervalMs: 400, timeoutMs: 5000 } });
    expect(
      await failureCode(readAll(transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport)))),
    ).toBe("upstream_reset");
    const stream = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport));
    const reading = failureCode(readAll(stream));
    await until(() => server.connections.length === 2);
    const began = performance.now();
    await server.connections[1]?.saw(({ type }) => type === FRAME.ping);
    expect(performance.now() - began).toBeGreaterThan(600);
    stream.discard();
    expect(await reading).toBe("client_closed");
  });
});

describe("signs of life", () => {
  test("a worker that answers no ping is given up, before and within its answer", async () => {
    await using server = await startRawHttp2({
      answersPing: false,
      onRequest: (connection, streamId) => (streamId === 1 ? answering(nothing)(connection, streamId) : undefined),
    });
    using transport = startTransport({ keepalive: { intervalMs: 200, timeoutMs: 200 } });
    const within = failureCode(readAll(transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport))));
    const before = failureCode(readAll(transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport))));
    expect(await within).toBe("upstream_stalled");
    expect(await before).toBe("upstream_timeout");
    expect(transport.openSockets).toBe(0);
  });

  test("nobody is asked while there are no calls", async () => {
    await using server = await startRawHttp2({ onRequest: answering((c, id) => c.trailers(id, 0)) });
    using transport = startTransport({ keepalive: { intervalMs: 100, timeoutMs: 100 } });
    await readAll(transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport)));
    await Bun.sleep(500);
    expect(server.connections[0]?.frames.some(({ type }) => type === FRAME.ping)).toBe(false);
    expect(transport.openSockets).toBe(1);
  });
});

describe("a worker that bounds the streams of a connection", () => {
  test("gets more connections, and its bound holds on each", async () => {
    const open = new Map<RawHttp2Connection, number>();
    let most = 0;
    await using server = await startRawHttp2({
      settings: [[SETTINGS_MAX_CONCURRENT_STREAMS, 4]],
      onRequest(connection, streamId) {
        const now = (open.get(connection) ?? 0) + 1;
        open.set(connection, now);
        most = Math.max(most, now);
        setTimeout(() => {
          open.set(connection, (open.get(connection) ?? 0) - 1);
          answering(() => connection.trailers(streamId, 0))(connection, streamId);
        }, 20);
      },
    });
    using transport = startTransport();
    const calls = Array.from({ length: 100 }, () =>
      transport.unary(server.origin, METHOD, REQUEST, callOptions(transport)),
    );
    expect(await Promise.all(calls)).toHaveLength(100);
    expect(most).toBe(4);
    expect(server.connections.length).toBeGreaterThan(1);
    expect(server.connections.length).toBeLessThanOrEqual(8);
  });

  test("and with all of them full, a call waits for a place, for so long", async () => {
    await using server = await startRawHttp2({
      settings: [[SETTINGS_MAX_CONCURRENT_STREAMS, 1]],
      onRequest: (connection, streamId) => connection.accept(streamId),
    });
    using transport = startTransport();
    const timeouts = { ...PATIENT, connectMs: 600 };
    const calls = Array.from({ length: 8 }, () =>
      transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport, { timeouts })),
    );
    await until(() => server.connections.length === 8);
    const error = await failure(transport.unary(server.origin, METHOD, REQUEST, callOptions(transport, { timeouts })));
    expect([error.code, error.status, error.row.retry]).toEqual(["upstream_busy", 503, "declined"]);
    const next = transport.unary(server.origin, METHOD, REQUEST, callOptions(transport));
    calls[3]?.discard();
    const reused = await Promise.race(
      server.connections.map((connection) =>
        connection.saw(({ type, streamId }) => type === FRAME.headers && streamId === 3),
      ),
    );
    expect(reused.streamId).toBe(3);
    for (const call of calls) call.discard();
    transport.failAll(await failure(Promise.resolve(calls[0]?.read())));
    expect(await failureCode(next)).toBe("client_closed");
  });
});

describe("leaving", () => {
  test("a worker that is forgotten finishes what runs, and gets nothing new on that connection", async () => {
    await using server = await startRawHttp2({ onRequest: (connection, streamId) => connection.accept(streamId) });
    using transport = startTransport();
    const stream = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport));
    const connection = await connectionOf(server);
    await connection.saw(({ type }) => type === FRAME.headers);
    transport.forget(server.origin);
    connection.message(1, TOKEN);
    connection.trailers(1, 0);
    expect(await readAll(stream)).toHaveLength(1);
    await connection.closed;
    await until(() => transport.openSockets === 0);
  });

  test("the end of the transport ends every call and connection", async () => {
    await using server = await startRawHttp2({ onRequest: (connection, streamId) => connection.accept(streamId) });
    const transport = startTransport();
    const stream = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport));
    const connection = await connectionOf(server);
    await connection.saw(({ type }) => type === FRAME.headers);
    transport[Symbol.dispose]();
    expect(await failureCode(readAll(stream))).toBe("server_shutting_down");
    expect(await failureCode(transport.unary(server.origin, METHOD, REQUEST, callOptions(transport)))).toBe(
      "server_shutting_down",
    );
    await connection.closed;
    expect(transport.openSockets).toBe(0);
  });

  test("a reader that stands still and then gives up leaves the connection to others", async () => {
    await using server = await startRawHttp2({
      onRequest(connection, streamId) {
        connection.accept(streamId);
        const count = streamId === 1 ? 20 : 1;
        for (let index = 0; index < count; index += 1) connection.message(streamId, Buffer.alloc(10_000));
        if (streamId > 1) connection.trailers(streamId, 0);
      },
    });
    using transport = startTransport();
    const still = transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport));
    await still.read();
    await Bun.sleep(50);
    still.discard();
    const reset = await server.connections[0]?.saw(({ type }) => type === FRAME.rstStream);
    expect([reset?.streamId, reset?.payload.at(-1)]).toEqual([1, CANCEL]);
    expect(await transport.unary(server.origin, METHOD, REQUEST, callOptions(transport))).toHaveLength(10_000);
    expect(server.connections).toHaveLength(1);
  });

  test("ten thousand calls that are given up leave nothing behind", async () => {
    await using server = await startRawHttp2({ onRequest: (connection, streamId) => connection.accept(streamId) });
    using transport = startTransport();
    const { signal } = new AbortController();
    for (let round = 0; round < 100; round += 1) {
      const calls = Array.from({ length: 100 }, () =>
        transport.serverStream(server.origin, METHOD, REQUEST, callOptions(transport, { signal })),
      );
      await Bun.sleep(1);
      for (const call of calls) call.discard();
    }
    const [connection] = server.connections;
    await connection?.saw(({ type, streamId }) => type === FRAME.rstStream && streamId > 19_000);
    expect(transport.openSockets).toBe(1);
  });
});

async function connectionOf(server: {
  readonly connections: readonly RawHttp2Connection[];
}): Promise<RawHttp2Connection> {
  await until(() => server.connections.length > 0);
  const [connection] = server.connections;
  if (!connection) throw new Error("there is no connection");
  return connection;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(2);
}

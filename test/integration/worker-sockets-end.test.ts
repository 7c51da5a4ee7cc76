import { expect, test } from "bun:test";
import { HttpTransport } from "../../src/transport/http1/http-transport.ts";
import type { UpstreamRequest } from "../../src/transport/upstream.ts";
import { systemClock } from "../../src/util/clock.ts";
import { LeaveController } from "../../src/util/leave-signal.ts";
import { eventually } from "../faults/observe.ts";
import { type RawEngine, startRawEngine } from "../support/engine.ts";

const FAR_MS = 60_000;

function requestTo({ url }: RawEngine, deadline = Number.POSITIVE_INFINITY): UpstreamRequest {
  const timeouts = { connectMs: FAR_MS, firstByteMs: FAR_MS, idleMs: FAR_MS };
  return { origin: url, method: "POST", path: "/", headers: "", body: undefined, timeouts, deadline };
}

const codeOf = (sent: Promise<unknown>): Promise<unknown> =>
  sent.then(
    () => "answered",
    (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
  );

test("the end of a transport ends what is under way on its sockets, and those in line for one", async () => {
  await using engine = await startRawEngine(() => undefined);
  const transport = new HttpTransport(systemClock, 1);
  const codes = [1, 2, 3].map(() => codeOf(transport.send(requestTo(engine), undefined)));
  await eventually(() => engine.generations === 1, "the first is at the worker");
  transport[Symbol.dispose]();
  const shuttingDown = "server_shutting_down";
  expect(await Promise.all(codes)).toEqual([shuttingDown, shuttingDown, shuttingDown]);
  await eventually(() => engine.openConnections === 0, "the sockets are closed");
  expect(transport.openSockets).toBe(0);
});

test("those in line whose client left, or whose time is over, open no connection when their turn would have come", async () => {
  let answer = (): void => undefined;
  let opened = 0;
  await using engine = await startRawEngine(
    ({ write, end }) => {
      answer = () => {
        write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        end();
      };
    },
    { onOpen: () => (opened += 1) },
  );
  using transport = new HttpTransport(systemClock, 1);
  const first = transport.send(requestTo(engine), undefined);
  await eventually(() => engine.generations === 1, "the first is at the worker");
  const client = new LeaveController();
  const left = codeOf(transport.send(requestTo(engine), client));
  const late = codeOf(transport.send(requestTo(engine, performance.now() + 50), undefined));
  client.leave("it left");
  expect([await left, await late]).toEqual(["client_closed", "upstream_timeout"]);
  answer();
  await (await first).bytes(10);
  await eventually(() => transport.openSockets === 0, "its socket is closed");
  expect([opened, engine.generations]).toEqual([1, 1]);
});

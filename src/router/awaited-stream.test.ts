import { expect, test } from "bun:test";
import { requestWith } from "../../test/support/candidates.ts";
import { GatewayError } from "../errors/errors.ts";
import { RequestRecord } from "../observability/request-record.ts";
import { endpointAt } from "../../test/support/endpoints.ts";
import { readJsonBody } from "../protocol/json/json-body.ts";
import { isReplyStream, type Reply, type ReplySink } from "../transport/downstream.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { AwaitedStream } from "./awaited-stream.ts";
import { StreamWatch } from "./stream-watch.ts";

const KEEP_ALIVE_MS = 5000;

interface Waiting {
  readonly clock: ManualClock;
  readonly watch: StreamWatch;
  readonly record: RequestRecord;
  readonly signal: LeaveController;
  readonly begun: PromiseWithResolvers<Reply>;
  readonly answer: Promise<Reply>;
  readonly defects: GatewayError[];
}

async function waitFor(path: string, keepAliveMs = KEEP_ALIVE_MS): Promise<Waiting> {
  const endpoint = endpointAt(path);
  const clock = new ManualClock();
  const watch = new StreamWatch(clock);
  const record = new RequestRecord("id-1", endpoint.name, { settle: () => undefined }, clock);
  const signal = new LeaveController();
  const begun = Promise.withResolvers<Reply>();
  const defects: GatewayError[] = [];
  const answer = AwaitedStream.of(
    { watch, clock, keepAliveMs, onDefect: (error) => defects.push(error) },
    {
      endpoint,
      model: "m",
      isStream: true,
      body: await readJsonBody(Buffer.from("{}")),
      headers: new Headers(),
      features: requestWith(),
      record,
      signal,
    },
    begun.promise,
  );
  return { clock, watch, record, signal, begun, answer, defects };
}

function sink(): ReplySink & { readonly text: () => string } {
  let text = "";
  return {
    write(bytes, from = 0, to = bytes.length) {
      text += Buffer.from(bytes.subarray(from, to)).toString();
      return undefined;
    },
    breakOff: () => undefined,
    text: () => text,
  };
}

function run({ body }: Reply, to: ReplySink): Promise<void> {
  if (!isReplyStream(body)) throw new Error("no stream");
  return body.run(to);
}

const stream = (text: string): Reply => ({
  status: 200,
  headers: {},
  body: { run: async (to) => void to.write(Buffer.from(text)) },
});

test("a stream that begins in time, and an error, are the answer as they are", async () => {
  const waiting = await waitFor("/v1/chat/completions");
  const reply = stream("data");
  waiting.clock.advance(KEEP_ALIVE_MS - 1000);
  waiting.begun.resolve(reply);
  expect(await waiting.answer).toBe(reply);
  expect([waiting.watch.size, waiting.record.status]).toEqual([0, 0]);
  const failing = await waitFor("/v1/chat/completions");
  failing.begun.reject(new GatewayError("upstream_busy", "full"));
  expect(await failing.answer.catch(String)).toContain("full");
});

test("after the silence the head goes out with a comment, then one each time, and the stream behind them", async () => {
  const waiting = await waitFor("/v1/chat/completions");
  waiting.clock.advance(KEEP_ALIVE_MS + 1000);
  const reply = await waiting.answer;
  const { status, headers } = reply;
  expect([status, headers["content-type"], headers["x-request-id"]]).toEqual([200, "text/event-stream", "id-1"]);
  const to = sink();
  const running = run(reply, to);
  expect(to.text()).toBe(": keep-alive\n");
  waiting.clock.advance(KEEP_ALIVE_MS);
  expect(to.text()).toBe(": keep-alive\n: keep-alive\n");
  waiting.begun.resolve(stream("data: 1\n\n"));
  await running;
  expect(to.text()).toBe(": keep-alive\n: keep-alive\ndata: 1\n\n");
  waiting.clock.advance(10 * KEEP_ALIVE_MS);
  expect([waiting.watch.size, to.text().length]).toEqual([0, 35]);
});

const ERRORS: readonly (readonly [path: string, ...pieces: string[]])[] = [
  [
    "/v1/chat/completions",
    ": keep-alive\n",
    'data: {"error":{"message":"full","type":"server_error","param":null,"code":"upstream_busy"}}\n\n',
  ],
  [
    "/v1/messages",
    'event: ping\ndata: {"type":"ping"}\n\n',
    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full","code":"upstream_busy","param":null},"request_id":"id-1"}\n\n',
  ],
  [
    "/v1/responses",
    ": keep-alive\n",
    'event: error\ndata: {"type":"error","code":"upstream_busy","message":"full","param":null,"sequence_number":0}\n\n',
  ],
  [
    "/generate",
    ": keep-alive\n",
    'data: {"error":{"message":"full","type":"server_error","param":null,"code":"upstream_busy"}}\n\n',
  ],
];
for (const [path, ...pieces] of ERRORS) {
  test(`an error behind an early head is told as an event, and recorded: ${path}`, async () => {
    const waiting = await waitFor(path);
    waiting.clock.advance(KEEP_ALIVE_MS + 1000);
    const early = await waiting.answer;
    const to = sink();
    const running = run(early, to);
    waiting.begun.reject(new GatewayError("upstream_busy", "full"));
    await running;
    expect(to.text()).toBe(pieces.join(""));
    expect([waiting.record.status, waiting.record.errorCode, waiting.watch.size]).toEqual([200, "upstream_busy", 0]);
  });
}

test("a client that leaves behind an early head is recorded as gone, and a defect is reported", async () => {
  const left = await waitFor("/v1/chat/completions");
  left.clock.advance(KEEP_ALIVE_MS + 1000);
  const early = await left.answer;
  left.signal.leave("gone");
  left.begun.reject(new Error("whatever"));
  const to = sink();
  await run(early, to);
  expect([to.text(), left.record.status, left.record.errorCode]).toEqual([": keep-alive\n", 499, "client_closed"]);
  const broken = await waitFor("/v1/chat/completions");
  broken.clock.advance(KEEP_ALIVE_MS + 1000);
  const head = await broken.answer;
  broken.begun.reject(new TypeError("a defect"));
  await run(head, sink());
  expect([broken.defects.length, broken.record.errorCode]).toEqual([1, "internal_error"]);
});

test("without keep-alive nobody watches", async () => {
  const waiting = await waitFor("/v1/chat/completions", Number.POSITIVE_INFINITY);
  expect([waiting.watch.size, waiting.answer === waiting.begun.promise]).toEqual([0, true]);
});

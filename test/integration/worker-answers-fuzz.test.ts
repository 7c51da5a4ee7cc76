import type { Socket } from "bun";
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { HttpTransport } from "../../src/transport/http1/http-transport.ts";
import type { UpstreamRequest } from "../../src/transport/upstream.ts";

/**
 * Answers of a worker that were changed at random, and answers that come with another one behind them: whatever becomes of such a
 * request, the next one on the same sockets has its own answer. A run that fails prints the seed that repeats it.
 */

const TIMEOUTS = { connectMs: 1000, firstByteMs: 200, idleMs: 200 };
const BOUND_MS = 1000;
const LANES = 16;

const answer = (text: string): string => `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
const CHUNKED =
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=1\r\n, world\r\n0\r\nx-a: 1\r\n\r\n";
const ANSWERS = [
  answer("a whole answer"),
  CHUNKED,
  `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${CHUNKED}`,
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
  "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
  "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
];
const INSERTED = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "0\r\n\r\n",
  " ",
  "\0",
  "content-length: 3\r\n",
  "5",
  "transfer-encoding: chunked\r\n",
  answer("second"),
];

type Change = readonly [at: number, kind: "cut" | "insert" | "repeat" | "flip" | "end", detail: number];

function changed(text: string, changes: readonly Change[]): string {
  let result = text;
  for (const [place, kind, detail] of changes) {
    const at = place % (result.length + 1);
    const [before, after] = [result.slice(0, at), result.slice(at)];
    if (kind === "cut") result = before + after.slice(1 + (detail % 4));
    else if (kind === "insert") result = before + (INSERTED[detail % INSERTED.length] ?? "") + after;
    else if (kind === "repeat") result = before + after.slice(0, detail % 20) + after;
    else if (kind === "flip") result = before + String.fromCharCode(detail % 256) + after.slice(1);
    else result = before;
  }
  return result;
}

/** What a worker is told to do with the next request. */
interface Script {
  readonly bytes: string;
  /** Its place in the bytes where a new segment begins. */
  readonly cutAt: number;
  /** The connection ends behind it. */
  readonly ends: boolean;
  /** All of it is on its way. */
  readonly onPlayed: () => void;
}

const scripts = fc.record({
  text: fc.constantFrom(...ANSWERS),
  changes: fc.array(fc.tuple(fc.nat(200), fc.constantFrom("cut", "insert", "repeat", "flip", "end"), fc.nat(1000)), {
    minLength: 1,
    maxLength: 3,
  }),
  cutAt: fc.nat(200),
  ends: fc.boolean(),
});

const asked = new Map<string, Script>();
let server: Bun.TCPSocketListener<undefined>;

beforeAll(() => {
  server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const path = /^POST (\S+) /.exec(bytes.toString("latin1"))?.[1] ?? "";
        const script = asked.get(path);
        if (script) void play(socket, script);
        else socket.write(answer(path));
      },
    },
  });
});
afterAll(() => server.stop(true));

async function play(socket: Socket, { bytes, cutAt, ends, onPlayed }: Script): Promise<void> {
  socket.write(Buffer.from(bytes.slice(0, cutAt), "latin1"));
  await Bun.sleep(0);
  socket.write(Buffer.from(bytes.slice(cutAt), "latin1"));
  if (ends) socket.end();
  onPlayed();
}

function request(path: string): UpstreamRequest {
  return {
    origin: `http://127.0.0.1:${server.port}`,
    method: "POST",
    path,
    headers: "",
    body: undefined,
    timeouts: TIMEOUTS,
    deadline: performance.now() + BOUND_MS,
  };
}

/** The text of the answer, or the error's name. */
async function ask(transport: HttpTransport, path: string): Promise<string> {
  try {
    const response = await transport.send(request(path), undefined);
    return Buffer.from(await response.bytes(10_000)).toString("latin1");
  } catch (error) {
    return String(error);
  }
}

test("whatever a worker's answer was changed to, it ends within its bounds, and the next request has its own", async () => {
  let number = 0;
  const lane = fc.asyncProperty(fc.array(scripts, { minLength: LANES, maxLength: LANES }), async (each) => {
    await Promise.all(
      each.map(async ({ text, changes, cutAt, ends }) => {
        using transport = new HttpTransport();
        const [first, second] = [`/changed-${(number += 1)}`, `/own-${number}`];
        const bytes = changed(text, changes);
        const { promise: played, resolve: onPlayed } = Promise.withResolvers<void>();
        asked.set(first, { bytes, cutAt, ends, onPlayed });
        const started = performance.now();
        await ask(transport, first);
        expect(performance.now() - started).toBeLessThan(BOUND_MS + 500);
        asked.delete(first);
        await played;
        // What is on its way by now is read, so that nothing of it can come behind the next request.
        await Bun.sleep(5);
        expect([bytes, await ask(transport, second)]).toEqual([bytes, second]);
      }),
    );
  });
  await fc.assert(lane, { numRuns: 12, endOnFailure: true });
  expect(number).toBe(12 * LANES);
}, 60_000);

test("of answers with another one behind them, up to 400 ms late, at most one on each way to a worker reaches a stranger", async () => {
  const delays = fc.array(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 40, maxLength: 40 }), {
    minLength: LANES,
    maxLength: LANES,
  });
  let extras = 0;
  const late = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const path = /^POST (\S+) /.exec(bytes.toString("latin1"))?.[1] ?? "";
        socket.write(answer(path));
        extras += 1;
        setTimeout(() => socket.write(answer("/of another")), Number(path.split("-").at(-1)));
      },
    },
  });
  try {
    await fc.assert(
      fc.asyncProperty(delays, async (lanes) => {
        const wrong = await Promise.all(
          lanes.map(async (each) => {
            using transport = new HttpTransport();
            let count = 0;
            for (const [index, delay] of each.entries()) {
              const path = `/late-${index}-${delay}`;
              const { origin: _, ...rest } = request(path);
              const response = await transport.send({ origin: `http://127.0.0.1:${late.port}`, ...rest }, undefined);
              if (Buffer.from(await response.bytes(1000)).toString() !== path) count += 1;
              // Some requests come while the extra answer of the one before is still on its way.
              await Bun.sleep(delay % 7);
            }
            return count;
          }),
        );
        expect(Math.max(...wrong)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2, endOnFailure: true },
    );
    expect(extras).toBeGreaterThanOrEqual(2 * LANES * 40);
  } finally {
    late.stop(true);
  }
}, 60_000);

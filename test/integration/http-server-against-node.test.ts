import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { textReply } from "../../src/transport/downstream.ts";
import { openWire } from "../faults/wire.ts";
import { bodyOf, startHttpServer } from "../support/http-server.ts";

/** What stands in front of us, or we in front of, reads requests in its own way. Where the two see different ones, one client's bytes become another's request. */

/** A request that came whole: method, path with query, body. */
type Seen = readonly [method: string, target: string, body: string];

interface Verdict {
  readonly requests: readonly Seen[];
  /** Why something was refused; "cut" where it did not come to its end, "closed" where nothing is read behind it. */
  readonly refusal: string | undefined;
}

/** Node's own parser, strict. Prints a line of JSON for each connection that has ended: what it saw on it. */
const NODE = `
  const http = require("node:http");
  const server = http.createServer({ insecureHTTPParser: false, requireHostHeader: true, keepAliveTimeout: 60000 });
  const states = new WeakMap();
  server.on("connection", (socket) => {
    const state = { requests: [] };
    states.set(socket, state);
    socket.on("close", () => console.log(JSON.stringify(state)));
  });
  const handle = (req, res) => {
    const state = states.get(req.socket);
    const place = state.requests.push(null) - 1;
    const pieces = [];
    req.on("data", (piece) => pieces.push(piece));
    req.on("error", () => {});
    req.on("end", () => {
      state.requests[place] = [req.method, req.url, Buffer.concat(pieces).toString("latin1")];
      res.end("ok");
    });
  };
  server.on("request", handle).on("checkContinue", handle).on("checkExpectation", handle);
  server.on("clientError", (error, socket) => { states.get(socket).refusal = error.code + " " + error.reason; socket.destroy(); });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;

/** A server of Node's in a process of its own, for one connection at a time. */
class NodeServer implements Disposable {
  readonly #child = Bun.spawn(["node", "-e", NODE], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  readonly #lines = linesOf(this.#child.stdout);

  async url(): Promise<string> {
    return `http://127.0.0.1:${await this.#line()}`;
  }

  /** What it saw on the connection that has ended. */
  async verdict(): Promise<Verdict> {
    const told = JSON.parse(await this.#line()) as { requests: (Seen | null)[]; refusal?: string };
    const whole = told.requests.filter((request) => request !== null);
    return {
      // A question mark with nothing behind it is not kept.
      requests: whole.map(([method, url, body]): Seen => [method, url.replace(/^([^?]*)\?$/, "$1"), body]),
      refusal: told.refusal ?? (whole.length < told.requests.length ? "cut" : undefined),
    };
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }

  async #line(): Promise<string> {
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error("node has ended");
    return value;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

/**
 * What Node refuses and we need not: which methods there are is a matter of routes here, and of what stands in an extension
 * of a chunk nothing but its end is looked at.
 */
const MAY_BE_TAKEN = /^HPE_INVALID_METHOD |invalid character in chunk (parameters|extensions)/i;
/** What becomes a request of its own where the body that it is in is cut short. */
const WITHIN = "GET /within HTTP/1.1\r\nHost: gateway\r\n\r\n";
const VALID: readonly string[] = [
  "GET /a?b=c HTTP/1.1\r\nHost: gateway\r\nAccept: */*\r\n\r\n",
  "POST /len HTTP/1.1\r\nHost: gateway\r\nContent-Length: 11\r\n\r\nhello world",
  `POST /len HTTP/1.1\r\nHost: gateway\r\nContent-Type: a/b\r\nContent-Length: ${WITHIN.length}\r\n\r\n${WITHIN}`,
  "POST /chunks HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
  `PUT /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: gateway\r\n\r\n${WITHIN.length.toString(16)}\r\n${WITHIN}\r\n0\r\nX-T: 1\r\n\r\n`,
  "HEAD /head HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive\r\n\r\n",
  "GET /old HTTP/1.0\r\nHost: gateway\r\nConnection: keep-alive\r\n\r\n",
  "POST /last HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
  "DELETE /expects HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
];

/** What ends in two places: each has to refuse them as they are, and whatever is made of them. */
const AMBIGUOUS: readonly string[] = [
  `POST /both HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${WITHIN}`,
  `POST /both HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n${WITHIN}`,
  `POST /two HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\nContent-Length: ${WITHIN.length}\r\n\r\n${WITHIN}`,
  `POST /coded HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${WITHIN}`,
  `GET /space HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${WITHIN}`,
  `POST /line HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n0\r\n\r\n${WITHIN}`,
];

const PIECES: readonly string[] = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\n\n",
  " ",
  "\t",
  "\0",
  "\u000b",
  "\u000c",
  "\u001f",
  "\u007f",
  "\u00a0",
  "\u0085",
  "\u00ff",
  ":",
  ";",
  ",",
  "#",
  "?",
  "+",
  "-",
  "0",
  "1",
  "a",
  "0x",
  "_",
  '"',
  " HTTP/1.1",
  "http://other",
  "\r\n ",
  "chunked",
  ", chunked",
  "identity",
  "0\r\n\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "Transfer-Encoding : chunked\r\n",
  "Content-Length:\r\n 5\r\n",
  "Host: other\r\n",
  "Connection: close\r\n",
  "Expect: 100-continue\r\n",
  // No Upgrade, which Node waits for ever after, and we take for nothing.
  "GET /more HTTP/1.1\r\nHost: gateway\r\n\r\n",
];

type Mutation = (bytes: string) => string;
/** Scattered: fast-check likes the ends of a range best, and what is changed in a method is only another method. */
const place = fc.nat(1_000_000).map((number) => ((number + 0.5) * 0.618_033_988_75) % 1);
/** Places that decide something are near a line's end or a colon, so half of what is changed lies there. */
const spot = fc
  .record({ where: place, isNear: fc.boolean(), back: fc.nat(3) })
  .map(({ where, isNear, back }) => (bytes: string): number => {
    const anywhere = Math.floor(where * bytes.length);
    if (!isNear) return anywhere;
    const next = bytes.slice(anywhere).search(/[\r:\n]/);
    return next < 0 ? anywhere : Math.max(0, anywhere + next + 2 - back);
  });
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ spot, piece: fc.constantFrom(...PIECES) }).map(
    ({ spot, piece }): Mutation =>
      (bytes) =>
        bytes.slice(0, spot(bytes)) + piece + bytes.slice(spot(bytes)),
  ),
  fc.record({ spot, count: fc.integer({ min: 1, max: 3 }) }).map(
    ({ spot, count }): Mutation =>
      (bytes) =>
        bytes.slice(0, spot(bytes)) + bytes.slice(spot(bytes) + count),
  ),
  fc.record({ spot, code: fc.nat(255) }).map(
    ({ spot, code }): Mutation =>
      (bytes) =>
        bytes.slice(0, spot(bytes)) + String.fromCharCode(code) + bytes.slice(spot(bytes) + 1),
  ),
  // A line twice, a line gone, a line's letters in the other case.
  fc
    .record({ where: place, kind: fc.constantFrom("twice", "gone", "case", "moved") })
    .map(({ where, kind }): Mutation => (bytes) => {
      const lines = bytes.split("\r\n");
      const index = Math.min(lines.length - 1, Math.floor(where * lines.length));
      const line = lines[index] ?? "";
      const changed = {
        twice: [line, line],
        gone: [],
        case: [line.toUpperCase()],
        moved: [lines[index + 1] ?? "", line],
      };
      lines.splice(index, kind === "moved" ? 2 : 1, ...changed[kind]);
      return lines.join("\r\n");
    }),
);

const input = fc
  .record({
    requests: fc.array(fc.constantFrom(...VALID, ...AMBIGUOUS), { minLength: 1, maxLength: 3 }),
    mutations: fc.array(mutation, { minLength: 1, maxLength: 2 }),
  })
  .map(({ requests, mutations }) => mutations.reduce((bytes, mutate) => mutate(bytes), requests.join("")));

/** Our server, for one connection at a time. */
function startOurs(): { readonly url: string; verdict(): Verdict; [Symbol.dispose](): void } {
  let requests: Seen[] = [];
  let isCut = false;
  let isLast = false;
  const started = startHttpServer(async (request) => {
    const { method, path, query } = request;
    // Node does not see this one where there is a space behind it.
    isLast ||= /close/i.test(request.headers.get("connection") ?? "");
    try {
      const body = await bodyOf(request);
      requests.push([method, query === "" ? path : `${path}?${query}`, body.toString("latin1")]);
    } catch {
      isCut = true;
    }
    return textReply("ok");
  });
  return {
    url: started.url,
    verdict() {
      const verdict = { requests, refusal: started.refused[0] ?? (isCut ? "cut" : isLast ? "closed" : undefined) };
      requests = [];
      isCut = false;
      isLast = false;
      started.refused.length = 0;
      return verdict;
    },
    [Symbol.dispose]: () => started[Symbol.dispose](),
  };
}

async function send(url: string, bytes: string): Promise<void> {
  using wire = await openWire(url, bytes);
  wire.finish();
  await wire.closed;
}

describe.skipIf(Bun.which("node") === null)("beside Node's strict parser", () => {
  let node: NodeServer;
  let nodeUrl: string;
  let ours: ReturnType<typeof startOurs>;
  beforeAll(async () => {
    node = new NodeServer();
    nodeUrl = await node.url();
    ours = startOurs();
  });
  afterAll(() => {
    ours[Symbol.dispose]();
    node[Symbol.dispose]();
  });

  async function bothSee(bytes: string): Promise<{ readonly our: Verdict; readonly its: Verdict }> {
    await Promise.all([send(ours.url, bytes), send(nodeUrl, bytes)]);
    return { our: ours.verdict(), its: await node.verdict() };
  }

  test("valid requests are the same", async () => {
    const { our, its } = await bothSee(VALID.filter((bytes) => !bytes.includes("close")).join(""));
    expect(our.requests).toEqual(its.requests);
    expect([our.requests.length, its.refusal ?? our.refusal]).toEqual([VALID.length - 1, undefined]);
    for (const bytes of VALID) {
      const { our, its } = await bothSee(bytes);
      expect([our.requests, our.requests.length, its.refusal]).toEqual([its.requests, 1, undefined]);
    }
  });

  test("requests that end in two places are refused as they are", async () => {
    for (const bytes of AMBIGUOUS) {
      const { our, its } = await bothSee(bytes);
      expect([our.requests, its.requests, bytes]).toEqual([[], [], bytes]);
    }
  });

  test("of 2,000 that are nearly valid none is taken that Node refuses or sees otherwise", async () => {
    let same = 0;
    await fc.assert(
      fc.asyncProperty(input, async (bytes) => {
        const { our, its } = await bothSee(bytes);
        const common = Math.min(our.requests.length, its.requests.length);
        expect(our.requests.slice(0, common)).toEqual(its.requests.slice(0, common));
        if (our.requests.length > common) {
          expect(its.refusal).toMatch(MAY_BE_TAKEN);
        } else if (its.requests.length > common) expect(our.refusal).toBeDefined();
        else if (our.refusal === undefined || our.refusal === "closed") same += 1;
      }),
      { numRuns: 2000, seed: 20_261_124, interruptAfterTimeLimit: 10_000 },
    );
    // Or the bytes were so wrong that nothing was compared.
    expect(same).toBeGreaterThan(50);
  }, 30_000);
});

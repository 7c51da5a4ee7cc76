import { describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import { GatewayError } from "../../src/errors/errors.ts";
import { type ClientRequest, type Reply, textReply } from "../../src/transport/downstream.ts";
import type { LeaveSignal } from "../../src/util/leave-signal.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { eventually } from "../faults/observe.ts";
import { exchange, head, openWire, type Wire, type WireAnswer } from "../faults/wire.ts";
import { bodyOf, echo, startHttpServer, streamReply } from "../support/http-server.ts";

const MB = 1_048_576;
/** In which a client that is gone is noticed, ms. */
const GONE_MS = 100;

function post(path: string, body: string, headers: readonly string[] = []): string {
  return `${head(`POST ${path}`, [...headers, `content-length: ${body.length}`])}${body}`;
}

function chunkedPost(path: string, pieces: readonly string[]): string {
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("");
  return `${head(`POST ${path}`, ["transfer-encoding: chunked"])}${chunks}0\r\n\r\n`;
}

const bodies = (answers: readonly WireAnswer[]): string[] => answers.map(({ body }) => body);

/** Lets both sides take what was sent: a few turns of the loop that they share. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await Bun.sleep(1);
}

/** Sends the bytes in two pieces, once for each place at which they can be cut, and returns the answers of each. */
async function cutAnywhere(url: string, bytes: string, answers: number): Promise<(readonly WireAnswer[])[]> {
  const places = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
  const wires = await Promise.all(places.map((place) => openWire(url, bytes.slice(0, place))));
  await settle();
  const got = await Promise.all(
    wires.map(async (wire, index) => {
      await wire.write(bytes.slice(places[index]));
      return wire.answers(answers);
    }),
  );
  for (const wire of wires) wire.hangUp();
  return got;
}

/** Sends the bytes one by one. */
async function byteByByte(url: string, bytes: string, answers: number): Promise<readonly WireAnswer[]> {
  using wire = await openWire(url);
  for (const byte of bytes) {
    await wire.write(byte);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
  return await wire.answers(answers);
}

/** A handler that answers when it is told to. */
function held(reply: (request: ClientRequest) => Promise<Reply> | Reply = () => textReply("held")): {
  readonly handle: (request: ClientRequest) => Promise<Reply>;
  readonly begun: Promise<ClientRequest>;
  release(): void;
} {
  const { promise: gate, resolve: release } = Promise.withResolvers<void>();
  const { promise: begun, resolve: onBegun } = Promise.withResolvers<ClientRequest>();
  return {
    begun,
    release,
    async handle(request) {
      onBegun(request);
      await gate;
      return reply(request);
    },
  };
}

function whenLeft(signal: LeaveSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", resolve);
  });
}

/** A client for more bytes than a string should hold, which reads when it is told to. */
interface Reader {
  readonly bytes: number;
  /** Everything that came until the end, which no reset may be. */
  readonly all: Promise<Buffer>;
  resume(): void;
  write(text: string): void;
}

async function openReader(url: string, text: string, { isStill = false } = {}): Promise<Reader> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const { promise: all, resolve, reject } = Promise.withResolvers<Buffer>();
  all.catch(() => undefined);
  const { hostname, port } = new URL(url);
  const socket: Socket = await Bun.connect({
    hostname,
    port: Number(port),
    allowHalfOpen: true,
    socket: {
      data(_socket, piece) {
        pieces.push(piece);
        bytes += piece.length;
      },
      end: (socket) => {
        resolve(Buffer.concat(pieces));
        socket.end();
      },
      error: (_socket, error) => reject(error),
      close: (_socket, error) => reject(error ?? new Error("closed before its end")),
    },
  });
  if (isStill) socket.pause();
  socket.write(text);
  return {
    get bytes() {
      return bytes;
    },
    all,
    resume: () => socket.resume(),
    write: (more) => {
      socket.write(more);
    },
  };
}

/**
 * A client of Node's that sends the text, closes its half, stands still for a moment, and reads to the end. Not a socket of
 * Bun's: where both sides have closed their half it drops what it has not read yet (Bun 1.4.5).
 */
async function readHalfClosed(url: string, text: string): Promise<Buffer> {
  const script = `
    const [port, text] = process.argv.slice(1);
    const socket = require("net").connect({ host: "127.0.0.1", port, allowHalfOpen: true }, () => socket.end(text));
    setTimeout(() => socket.pipe(process.stdout), 150);
    socket.on("error", (error) => { console.error(error); process.exit(1); });`;
  const child = Bun.spawn(["node", "-e", script, new URL(url).port, text], { stdout: "pipe", stderr: "inherit" });
  const all = Buffer.from(await new Response(child.stdout).arrayBuffer());
  expect(await child.exited).toBe(0);
  return all;
}

/** The body of the only answer in the bytes, out of its chunks where it has some. */
function payloadOf(answer: Buffer): Buffer {
  const end = answer.indexOf("\r\n\r\n");
  const body = answer.subarray(end + 4);
  if (!answer.toString("latin1", 0, end).includes("transfer-encoding: chunked")) return body;
  const pieces: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = body.indexOf("\r\n", at);
    if (lineEnd < 0) throw new Error("no last chunk");
    const size = Number.parseInt(body.toString("latin1", at, lineEnd), 16);
    if (size === 0) return Buffer.concat(pieces);
    pieces.push(body.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

const digest = (bytes: Uint8Array): string => Bun.hash(bytes).toString(16);

/** So many bytes that are nowhere the same. */
function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length - (length % 4));
  let state = seed;
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
}

/** Resolves when the number has not changed for a while. */
async function whenStill(read: () => number): Promise<number> {
  for (let last = -1; ;) {
    const now = read();
    if (now === last && now > 0) return now;
    last = now;
    await Bun.sleep(100);
  }
}

describe("requests on one connection", () => {
  test("are answered one after another", async () => {
    using started = startHttpServer(echo);
    using wire = await openWire(started.url, head("GET /a?b", []));
    expect(bodies(await wire.answers(1))).toEqual(["GET /a b "]);
    await wire.write(post("/b", "hello"));
    expect(bodies(await wire.answers(2))).toEqual(["GET /a b ", "POST /b  hello"]);
    await wire.write(chunkedPost("/c", ["he", "llo"]));
    expect(bodies(await wire.answers(3)).at(-1)).toBe("POST /c  hello");
    expect([wire.isClosed, started.server.connections]).toEqual([false, 1]);
  });

  test("50 in one write are answered in their order, one at a time", async () => {
    let atOnce = 0;
    let most = 0;
    using started = startHttpServer(async (request) => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      // The first take the longest.
      for (let turn = Number(request.path.slice(2)); turn < 50; turn += 5) await Bun.sleep(0);
      atOnce -= 1;
      return echo(request);
    });
    const requests = Array.from({ length: 50 }, (_, index) => [
      [head(`GET /r${index}`, []), `GET /r${index}  `],
      [post(`/r${index}`, `body ${index}`), `POST /r${index}  body ${index}`],
      [chunkedPost(`/r${index}`, ["chunk", ` ${index}`]), `POST /r${index}  chunk ${index}`],
    ]).map((kinds, index) => kinds[index % 3] ?? []);
    const answers = await exchange(started.url, requests.map(([bytes]) => bytes).join(""), 50);
    expect(bodies(answers)).toEqual(requests.map(([, answer = ""]) => answer));
    expect(most).toBe(1);
  });

  test("behind one that takes its time are all answered, in their order", async () => {
    const first = held(echo);
    using started = startHttpServer((request) => (request.path === "/r0" ? first.handle(request) : echo(request)));
    const count = 4000;
    const bytes = Array.from({ length: count }, (_, index) =>
      head(`GET /r${index}`, index === count - 1 ? ["connection: close"] : []),
    );
    using wire = await openWire(started.url, bytes.join(""));
    await first.begun;
    await settle();
    first.release();
    const got = await wire.closed.then(() => wire.received);
    const names = [...got.matchAll(/GET \/r(\d+)/g)].map(([, index]) => Number(index));
    expect(names).toEqual(Array.from({ length: count }, (_, index) => index));
  });

  test("behind one that takes its time are taken ahead only so far", async () => {
    const first = held();
    using started = startHttpServer(async (request) =>
      request.path === "/held" ? first.handle(request) : textReply(digest(await bodyOf(request))),
    );
    const body = pattern(32 * MB);
    using wire = await openWire(
      started.url,
      head("GET /held", []) + head("POST /", [`content-length: ${body.length}`]),
    );
    await first.begun;
    let isTaken = false;
    const sent = wire.write(body).then(() => (isTaken = true));
    await Bun.sleep(200);
    expect(isTaken).toBe(false);
    first.release();
    await sent;
    expect(bodies(await wire.answers(2))).toEqual(["held", digest(body)]);
  });

  test("are two wherever their bytes are cut", async () => {
    using started = startHttpServer(echo);
    const bytes = `${post("/a", "hello")}${chunkedPost("/b", ["wor", "ld"])}`;
    for (const answers of await cutAnywhere(started.url, bytes, 2)) {
      expect(bodies(answers)).toEqual(["POST /a  hello", "POST /b  world"]);
    }
    expect(bodies(await byteByByte(started.url, bytes, 2))).toEqual(["POST /a  hello", "POST /b  world"]);
  });

  test("may have empty lines before them, wherever these are cut", async () => {
    using started = startHttpServer(echo);
    const bytes = `\r\n\r\n${post("/a", "x")}\r\n\r\n\r\n${head("GET /b", [])}`;
    for (const answers of await cutAnywhere(started.url, bytes, 2)) {
      expect(bodies(answers)).toEqual(["POST /a  x", "GET /b  "]);
    }
    expect(bodies(await byteByByte(started.url, bytes, 2))).toEqual(["POST /a  x", "GET /b  "]);
  });

  test("are no more after one that says close, or whose answer does", async () => {
    using started = startHttpServer((request) => {
      const reply = textReply(request.path);
      if (request.path === "/last") reply.endsConnection = true;
      return reply;
    });
    for (const first of [head("GET /a", ["connection: close"]), head("GET /last", [])]) {
      using wire = await openWire(started.url, first + head("GET /b", []));
      await wire.closed;
      const answers = await wire.answers(2);
      expect(answers.map(({ headers }) => headers.get("connection"))).toEqual(["close"]);
    }
  });
});

describe("what is no request", () => {
  test("is told why, and its connection ends", async () => {
    using started = startHttpServer(echo);
    const cases: readonly [bytes: string, status: number, code: string][] = [
      ["\u0016\u0003\u0001\u0002\u0000", 400, "malformed_request"],
      ["get / HTTP/1.1\r\n", 400, "malformed_request"],
      ["GET / HTTP/1.1\n", 400, "malformed_request"],
      ["\n", 400, "malformed_request"],
      ["GET / HTTP/1.1\r\nhost gateway\r\n\r\n", 400, "malformed_request"],
      ["GET / HTTP/1.1\r\n\r\n", 400, "bad_host"],
      ["GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400, "bad_host"],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unsupported_http_version"],
      [`GET /${"a".repeat(17_000)}`, 431, "headers_too_large"],
      [head("GET /", [`x: ${"a".repeat(17_000)}`]), 431, "headers_too_large"],
      [head("POST /", ["content-length: 5", "transfer-encoding: chunked"]), 400, "malformed_request"],
    ];
    for (const [bytes, status, code] of cases) {
      using wire = await openWire(started.url, bytes);
      await wire.closed;
      const answers = await wire.answers(1);
      const told = answers.map((answer) => [answer.status, answer.body, answer.headers.get("connection")]);
      expect([bytes.slice(0, 40), told]).toEqual([bytes.slice(0, 40), [[status, code, "close"]]]);
    }
    expect(started.refused.length).toBe(cases.length);
  });

  test("has no body in its answer where it began with HEAD", async () => {
    using started = startHttpServer(echo, { clock: new ManualClock() });
    const cases: readonly string[] = [
      "HEAD / HTTP/1.1\r\n\r\n",
      "HEAD / HTTP/3.0\r\nhost: gateway\r\n\r\n",
      head("HEAD /", ["x y: z"]),
      head("HEAD /", [`x: ${"a".repeat(17_000)}`]),
      "HEAD / HTTP/1.1\n",
    ];
    for (const bytes of cases) {
      using wire = await openWire(started.url, bytes);
      await wire.closed;
      expect(wire.received).toMatch(/^HTTP\/1\.1 [45]\d\d [^]*\r\ncontent-length: [1-9]\d*\r\n[^]*\r\n\r\n$/);
    }
  });

  test("is also a handful of empty lines, in whatever pieces", async () => {
    using started = startHttpServer(echo);
    for (const bytes of ["\r\n".repeat(9), "\r\n".repeat(100_000)]) {
      using wire = await openWire(started.url);
      await wire.write(bytes);
      await wire.closed;
      expect(wire.received).toStartWith("HTTP/1.1 400 ");
    }
    using slow = await openWire(started.url);
    for (let line = 0; line < 9; line += 1) {
      await slow.write("\r");
      await settle();
      await slow.write("\n");
      await settle();
    }
    expect((await slow.answers(1))[0]?.status).toBe(400);
    using few = await openWire(started.url, `${"\r\n".repeat(4)}${head("GET /a", [])}`);
    expect(bodies(await few.answers(1))).toEqual(["GET /a  "]);
  });

  test("is told so behind the answers of those before it", async () => {
    using started = startHttpServer(echo);
    const answers = await exchange(started.url, `${post("/a", "x")}${head("GET /b", [])}nonsense\r\n\r\n`, 3);
    expect(bodies(answers)).toEqual(["POST /a  x", "GET /b  ", "malformed_request"]);
  });
});

describe("a body", () => {
  test("is taken in chunks with extensions and trailers, wherever it is cut", async () => {
    using started = startHttpServer(echo);
    const bytes = `${head("POST /a", ["Transfer-Encoding: Chunked"])}003;x=y\r\nabc\r\n1\r\nd\r\n0\r\nx-t: 1\r\n\r\n`;
    for (const answers of await cutAnywhere(started.url, bytes, 1)) expect(bodies(answers)).toEqual(["POST /a  abcd"]);
  });

  test("of 32 MB stops its client while nobody reads it, and arrives whole then", async () => {
    const body = pattern(32 * MB);
    const handler = held(async (request) => textReply(digest(await bodyOf(request))));
    using started = startHttpServer(handler.handle);
    using wire = await openWire(started.url, head("POST /", [`content-length: ${body.length}`]));
    let isTaken = false;
    const sent = wire.write(body).then(() => (isTaken = true));
    await handler.begun;
    await Bun.sleep(200);
    expect(isTaken).toBe(false);
    handler.release();
    await sent;
    expect(bodies(await wire.answers(1))).toEqual([digest(body)]);
  });

  test("that ends before it is whole is no body: its reader hears that the client has left", async () => {
    const { promise: heard, resolve } = Promise.withResolvers<unknown>();
    using started = startHttpServer(async (request) => {
      await bodyOf(request).catch((error: unknown) =>
        resolve([error instanceof GatewayError ? error.code : error, request.signal.aborted]),
      );
      return textReply("late");
    });
    for (const leave of [(wire: Wire) => wire.finish(), (wire: Wire) => wire.hangUp()]) {
      using wire = await openWire(started.url, post("/", "hello").slice(0, -1));
      await eventually(async () => started.server.connections === 1, "it is there");
      leave(wire);
      expect(await heard).toEqual(["client_closed", true]);
      await eventually(async () => started.server.connections === 0, "it is gone");
      expect(wire.received).toBe("");
    }
  });

  describe("whose client waits for leave to send it", () => {
    const asks = (length: number): string => head("POST /a", ["expect: 100-continue", `content-length: ${length}`]);

    test("gets it when somebody reads", async () => {
      using started = startHttpServer(echo);
      using wire = await openWire(started.url, asks(5));
      expect(await wire.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
      await wire.write("hello");
      const answers = await wire.answers(1);
      expect(answers.map(({ status, body }) => [status, body])).toEqual([
        [100, ""],
        [200, "POST /a  hello"],
      ]);
      await wire.write(head("GET /b", []));
      expect((await wire.answers(2)).at(-1)?.body).toBe("GET /b  ");
    });

    test("is not told to where the body is refused, and its connection ends", async () => {
      using started = startHttpServer(() => textReply("too large", { status: 413 }));
      using wire = await openWire(started.url, asks(5));
      await wire.closed;
      expect(wire.received).toStartWith("HTTP/1.1 413 ");
      expect(wire.received).toContain("\r\nconnection: close\r\n");
    });

    test("is not told to where it did not wait", async () => {
      using started = startHttpServer(echo);
      using wire = await openWire(started.url, `${asks(5)}hello`);
      await wire.answers(1);
      expect(wire.received).toStartWith("HTTP/1.1 200 ");
      await wire.write(`${asks(0)}${head("GET /b", [])}`);
      expect((await wire.answers(3)).map(({ status }) => status)).toEqual([200, 200, 200]);
    });
  });

  test("is not said to be waited for by who did not ask", async () => {
    using started = startHttpServer(echo);
    using wire = await openWire(started.url, head("POST /a", ["content-length: 5"]));
    await settle();
    expect(wire.received).toBe("");
    await wire.write("hello");
    expect(bodies(await wire.answers(1))).toEqual(["POST /a  hello"]);
  });
});

describe("a body that nobody reads", () => {
  const ignore = (): Reply => textReply("ignored");

  test("of a small length is dropped, and the connection goes on", async () => {
    using started = startHttpServer((request) => (request.path === "/ignore" ? ignore() : echo(request)));
    using wire = await openWire(started.url, post("/ignore", "x".repeat(1000)) + head("GET /b", []));
    expect(bodies(await wire.answers(2))).toEqual(["ignored", "GET /b  "]);
  });

  test("of a small length may also come after the answer", async () => {
    using started = startHttpServer((request) => (request.path === "/ignore" ? ignore() : echo(request)));
    const bytes = post("/ignore", "x".repeat(200_000));
    using wire = await openWire(started.url, bytes.slice(0, 500));
    const [first] = await wire.answers(1);
    expect([first?.body, first?.headers.get("connection")]).toEqual(["ignored", null]);
    await wire.write(bytes.slice(500) + head("GET /b", []));
    expect(bodies(await wire.answers(2))).toEqual(["ignored", "GET /b  "]);
  });

  test("in chunks that are all there is dropped, and the connection goes on", async () => {
    using started = startHttpServer((request) => (request.path === "/ignore" ? ignore() : echo(request)));
    using wire = await openWire(started.url, chunkedPost("/ignore", ["a", "b"]) + head("GET /b", []));
    expect(bodies(await wire.answers(2))).toEqual(["ignored", "GET /b  "]);
  });

  test("of a large length, or in chunks that are not all there, ends the connection", async () => {
    using started = startHttpServer(ignore);
    for (const field of [`content-length: ${10 * MB}`, "transfer-encoding: chunked"]) {
      using wire = await openWire(started.url, `${head("POST /", [field])}5\r\nhello\r\n`);
      await wire.closed;
      const [answer] = await wire.answers(1);
      expect([answer?.body, answer?.headers.get("connection")]).toEqual(["ignored", "close"]);
    }
  });

  test("and is sent on and on is not taken for ever", async () => {
    using started = startHttpServer(ignore);
    const wire = await openWire(started.url, head("POST /", [`content-length: ${100 * MB}`]));
    await wire.answers(1);
    const piece = Buffer.alloc(100_000);
    await eventually(async () => {
      await wire.write(piece);
      return started.server.connections === 0;
    }, "the connection is broken off");
    wire.hangUp();
  });
});

describe("a chunk that is malformed", () => {
  const begun = head("POST /", ["transfer-encoding: chunked"]);

  test("is an error to who reads, and the last request of its connection", async () => {
    using started = startHttpServer(echo);
    for (const rest of ["5\r\nhelloX", "nonsense\r\n", "2\r\nok\r\n0\r\nhost: x\r\n\r\n"]) {
      using wire = await openWire(started.url, begun);
      await settle();
      await wire.write(rest + head("GET /b", []));
      await wire.closed;
      const answers = await wire.answers(2);
      expect(answers.map(({ body, headers }) => [body, headers.get("connection")])).toEqual([
        ["malformed_request", "close"],
      ]);
    }
  });

  test("gives what came before it to who reads, and to who does not its answer", async () => {
    const pieces: unknown[] = [];
    const handler = held(async (request) => {
      for (;;) {
        const piece = await request.read();
        pieces.push(String(piece));
        if (!piece) return textReply("whole");
      }
    });
    using started = startHttpServer(handler.handle);
    using wire = await openWire(started.url, `${begun}5\r\nhello\r\n`);
    const request = await handler.begun;
    await wire.write(`nonsense\r\n${head("GET /b", [])}`);
    await settle();
    expect(request.signal.aborted).toBe(false);
    handler.release();
    await wire.closed;
    expect([bodies(await wire.answers(2)), pieces]).toEqual([["malformed_request"], ["hello"]]);

    const deaf = held();
    using other = startHttpServer(deaf.handle);
    using ignored = await openWire(other.url, begun);
    await deaf.begun;
    await ignored.write(`nonsense\r\n${head("GET /b", [])}`);
    await settle();
    deaf.release();
    await ignored.closed;
    const [answer, ...more] = await ignored.answers(2);
    expect([answer?.body, answer?.headers.get("connection"), more]).toEqual(["held", "close", []]);
  });

  test("takes nothing of an answer that is on its way", async () => {
    const body = pattern(20 * MB);
    using started = startHttpServer(() => ({ status: 200, headers: {}, body }));
    const reader = await openReader(started.url, begun, { isStill: true });
    await settle();
    reader.write("nonsense\r\n");
    await settle();
    reader.resume();
    expect(digest(payloadOf(await reader.all))).toBe(digest(body));
  });
});

describe("HEAD", () => {
  test("gets the head that GET gets, and no body", async () => {
    using started = startHttpServer((request) => (request.method === "HEAD" ? textReply("seven €") : echo(request)));
    using wire = await openWire(started.url, `${head("HEAD /", [])}${head("GET /b", [])}`);
    const received = await wire.until("GET /b  ");
    expect(received).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*?\r\ncontent-length: 9\r\n[^]*?\r\n\r\nHTTP\/1.1 200 OK\r\n/);
    expect(received).not.toContain("seven");
  });

  test("gets no body of a stream either", async () => {
    const { promise: over, resolve: onOver } = Promise.withResolvers<void>();
    using started = startHttpServer((request) =>
      request.method === "HEAD"
        ? streamReply(async (sink) => {
            await sink.write(Buffer.from("streamed"));
            onOver();
          })
        : echo(request),
    );
    using wire = await openWire(started.url, `${head("HEAD /", [])}${head("GET /b", [])}`);
    const received = await wire.until("GET /b  ");
    await over;
    expect(received).not.toContain("streamed");
    expect(received).not.toContain("\r\n0\r\n");
  });
});

describe("HTTP/1.0", () => {
  const old = (fields: readonly string[] = []): string =>
    `${["GET /a HTTP/1.0", "host: gateway", ...fields].join("\r\n")}\r\n\r\n`;

  test("has one answer for each connection", async () => {
    using started = startHttpServer(echo);
    using wire = await openWire(started.url, old() + old());
    await wire.closed;
    const answers = await wire.answers(2);
    expect(answers.map(({ body, headers }) => [body, headers.get("connection")])).toEqual([["GET /a  ", "close"]]);
  });

  test("has more where both say so", async () => {
    using started = startHttpServer(echo);
    using wire = await openWire(started.url, old(["connection: keep-alive"]).repeat(2));
    const answers = await wire.answers(2);
    expect(answers.map(({ headers }) => headers.get("connection"))).toEqual(["keep-alive", "keep-alive"]);
    expect(wire.isClosed).toBe(false);
  });

  test("gets a stream without chunks, and its end with that of the connection", async () => {
    using started = startHttpServer(() =>
      streamReply(async (sink) => {
        await sink.write(Buffer.from("one "));
        await settle();
        await sink.write(Buffer.from("two"));
      }),
    );
    for (const fields of [[], ["connection: keep-alive"]]) {
      using wire = await openWire(started.url, old(fields));
      await wire.closed;
      const [answer] = await wire.answers(1);
      expect([answer?.body, answer?.headers.get("connection"), answer?.headers.get("transfer-encoding")]).toEqual([
        "one two",
        "close",
        null,
      ]);
    }
  });

  test("gets no informational answer, whatever it asks for or does", async () => {
    using started = startHttpServer(async (request) => {
      await settle();
      return echo(request);
    });
    using wire = await openWire(
      started.url,
      "POST /a HTTP/1.0\r\nhost: gateway\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n",
    );
    await settle();
    await wire.write("x");
    wire.finish();
    expect((await wire.answers(1)).map(({ status }) => status)).toEqual([200]);
  });
});

describe("a client that has closed its half", () => {
  test("gets its answers, also those of requests behind each other", async () => {
    using started = startHttpServer(async (request) => {
      await settle();
      return echo(request);
    });
    using wire = await openWire(started.url, `${post("/a", "x")}${head("GET /b", [])}`);
    wire.finish();
    await wire.closed;
    const finals = (await wire.answers(2)).filter(({ status }) => status >= 200);
    expect(bodies(finals)).toEqual(["POST /a  x", "GET /b  "]);
    await eventually(async () => started.server.connections === 0, "it is gone");
  });

  test("gets a stream to its end, also where it closed its half within", async () => {
    for (const isWithin of [false, true]) {
      const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
      using started = startHttpServer(() =>
        streamReply(async (sink) => {
          await sink.write(Buffer.from("one "));
          await gate;
          for (let piece = 0; piece < 300; piece += 1) await sink.write(Buffer.from(`${piece} `));
        }),
      );
      using wire = await openWire(started.url, head("GET /", []));
      if (!isWithin) wire.finish();
      await wire.until("one ");
      if (isWithin) wire.finish();
      await settle();
      goOn();
      await wire.closed;
      const answer = (await wire.answers(1)).at(-1);
      expect(answer?.body).toBe(`one ${Array.from({ length: 300 }, (_, piece) => `${piece} `).join("")}`);
    }
  });

  test("gets the end of a stream that has nothing more to say", async () => {
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    using started = startHttpServer(() =>
      streamReply(async (sink) => {
        await sink.write(Buffer.from("all"));
        await gate;
      }),
    );
    using wire = await openWire(started.url, head("GET /", []));
    await wire.until("all");
    wire.finish();
    await wire.until("all\r\n0");
    goOn();
    await wire.closed;
    expect(bodies(await wire.answers(1))).toEqual(["all"]);
  });

  for (const kind of ["an answer", "a stream"]) {
    test.skipIf(Bun.which("node") === null)(`gets ${kind} of 20 MB that its socket cannot hold`, async () => {
      const body = pattern(20 * MB);
      using started = startHttpServer(() =>
        kind === "a stream"
          ? streamReply(async (sink) => {
              for (let at = 0; at < body.length; at += 100_000) {
                await sink.write(body, at, Math.min(body.length, at + 100_000));
              }
            })
          : { status: 200, headers: {}, body },
      );
      const all = await readHalfClosed(started.url, head("GET /", []));
      // It may have been asked before whether it is still there.
      expect(digest(payloadOf(all.subarray(all.indexOf("HTTP/1.1 200"))))).toBe(digest(body));
    });
  }

  test("before its request is whole gets nothing", async () => {
    using started = startHttpServer(echo);
    for (const bytes of ["", "\r\n", "\r", "GET / HT", head("GET /", []).slice(0, -1), `${head("GET /a", [])}GET`]) {
      using wire = await openWire(started.url, bytes);
      wire.finish();
      await wire.closed;
      expect((await wire.answers(1)).filter(({ status }) => status >= 200).length).toBe(bytes.endsWith("GET") ? 1 : 0);
    }
    await eventually(async () => started.server.connections === 0, "all are gone");
  });
});

describe("a client that is gone", () => {
  const WAYS: Record<string, (wire: Wire) => void> = {
    "by a close": (wire) => wire[Symbol.dispose](),
    "by a reset": (wire) => wire.hangUp(),
  };
  for (const [name, leave] of Object.entries(WAYS)) {
    test(`${name} is noticed at once before the answer has begun`, async () => {
      const handler = held(echo);
      using started = startHttpServer(handler.handle);
      const wire = await openWire(started.url, post("/", "hello"));
      const request = await handler.begun;
      await settle();
      expect(request.signal.aborted).toBe(false);
      const from = performance.now();
      leave(wire);
      await whenLeft(request.signal);
      expect(performance.now() - from).toBeLessThan(GONE_MS);
      await eventually(async () => started.server.connections === 0, "it is gone");
      handler.release();
      await settle();
      expect(started.defects).toEqual([]);
    });

    test(`${name} is noticed at once within a stream`, async () => {
      const { promise: ended, resolve: onEnded } = Promise.withResolvers<unknown>();
      const { promise: begun, resolve: onBegun } = Promise.withResolvers<LeaveSignal>();
      using started = startHttpServer((request) =>
        streamReply(async (sink) => {
          await sink.write(Buffer.from("first"));
          onBegun(request.signal);
          await whenLeft(request.signal);
          onEnded([sink.write(Buffer.from("into nothing")), started.server.connections]);
        }),
      );
      const wire = await openWire(started.url, head("GET /", []));
      const signal = await begun;
      await wire.until("first\r\n");
      const from = performance.now();
      leave(wire);
      await whenLeft(signal);
      expect(performance.now() - from).toBeLessThan(GONE_MS);
      expect(await ended).toEqual([undefined, expect.any(Number)]);
      await eventually(async () => started.server.connections === 0, "it is gone");
      expect(started.defects).toEqual([]);
    });
  }

  const UNREAD: Record<string, string> = {
    "behind which other requests stand": head("GET /held", []) + head("GET /behind", []).repeat(4000),
    "whose body is not read": post("/held", "x".repeat(MB * 2)),
  };
  for (const [name, bytes] of Object.entries(UNREAD)) {
    test(`is noticed soon where its socket is paused: a request ${name}`, async () => {
      const handler = held();
      const clock = new ManualClock();
      using started = startHttpServer(handler.handle, { clock });
      const wire = await openWire(started.url);
      const sent = wire.write(bytes.slice(0, 800_000));
      const request = await handler.begun;
      await sent;
      await settle();
      wire[Symbol.dispose]();
      for (let look = 0; look < 4 && !request.signal.aborted; look += 1) {
        clock.advance(500);
        await settle();
      }
      expect(request.signal.aborted).toBe(true);
      await eventually(async () => started.server.connections === 0, "it is gone");
      handler.release();
    });
  }

  test("is not looked for without end in what it sends", async () => {
    const handler = held(async (request) => textReply(String((await bodyOf(request)).length)));
    const clock = new ManualClock();
    using started = startHttpServer(handler.handle, { clock });
    using wire = await openWire(started.url);
    let isTaken = false;
    const sent = wire.write(post("/held", "x".repeat(MB * 32))).then(() => (isTaken = true));
    await handler.begun;
    for (let look = 0; look < 100; look += 1) {
      clock.advance(500);
      await settle();
    }
    expect(isTaken).toBe(false);
    handler.release();
    await sent;
    expect(bodies(await wire.answers(1))).toEqual([String(MB * 32)]);
  });

  test("lets go of who waits for it to take more", async () => {
    const { promise: over, resolve: onOver } = Promise.withResolvers<boolean>();
    const piece = Buffer.alloc(MB);
    using started = startHttpServer((request) =>
      streamReply(async (sink) => {
        while (!request.signal.aborted) await sink.write(piece);
        onOver(request.signal.aborted);
      }),
    );
    using wire = await openWire(started.url, head("GET /", []));
    wire.pause();
    await Bun.sleep(50);
    wire.hangUp();
    expect(await over).toBe(true);
  });

  test("before its answer has begun still has its stream run, into nothing", async () => {
    const { promise: ran, resolve } = Promise.withResolvers<unknown>();
    const handler = held(() => streamReply(async (sink) => resolve(sink.write(Buffer.alloc(9)))));
    using started = startHttpServer(handler.handle);
    const wire = await openWire(started.url, head("GET /", []));
    const request = await handler.begun;
    wire.hangUp();
    await whenLeft(request.signal);
    handler.release();
    expect(await ran).toBeUndefined();
  });
});

describe("a stream", () => {
  test("of 50 MB waits for a reader that stands still, and arrives byte for byte", async () => {
    const piece = pattern(MB / 4);
    const hasher = new Bun.CryptoHasher("md5");
    let written = 0;
    using started = startHttpServer(() =>
      streamReply(async (sink) => {
        for (let count = 0; count < 200; count += 1) {
          piece.writeUInt32LE(count);
          hasher.update(piece);
          const more = sink.write(piece);
          written += piece.length;
          if (more) await more;
        }
      }),
    );
    const reader = await openReader(started.url, head("GET /", ["connection: close"]), { isStill: true });
    const stoodAt = await whenStill(() => written);
    expect(reader.bytes).toBe(0);
    // What the kernel holds of it on both sides, and one piece.
    expect(stoodAt).toBeWithin(MB / 4, 12 * MB);
    reader.resume();
    const body = payloadOf(await reader.all);
    expect(body.length).toBe(50 * MB);
    expect(new Bun.CryptoHasher("md5").update(body).digest("hex")).toBe(hasher.digest("hex"));
  });

  test("to one that reads slowly is not mixed with those to others", async () => {
    const contents = [1, 2, 3].map((seed) => pattern(12 * MB, seed));
    using started = startHttpServer((request) => {
      const content = contents[Number(request.path.slice(1))] ?? Buffer.alloc(0);
      return streamReply(async (sink) => {
        // Pieces that are made in the one buffer that all share.
        for (let at = 0; at < content.length; at += 40_000) {
          await sink.write(content, at, Math.min(content.length, at + 40_000));
        }
      });
    });
    const readers = await Promise.all(
      contents.map((_, index) =>
        openReader(started.url, head(`GET /${index}`, ["connection: close"]), { isStill: true }),
      ),
    );
    await Bun.sleep(50);
    for (const reader of readers) reader.resume();
    const got = await Promise.all(readers.map(async ({ all }) => digest(payloadOf(await all))));
    expect(got).toEqual(contents.map(digest));
  });

  test("of no bytes, and pieces of none, has an end and no other", async () => {
    using started = startHttpServer((request) =>
      streamReply(async (sink) => {
        expect(sink.write(Buffer.alloc(0))).toBeUndefined();
        if (request.path === "/some") await sink.write(Buffer.from("abcd"), 1, 3);
        await sink.write(Buffer.alloc(10), 4, 4);
      }),
    );
    const answers = await exchange(started.url, head("GET /none", []) + head("GET /some", []), 2);
    expect(bodies(answers)).toEqual(["", "bc"]);
    expect(answers.map(({ headers }) => headers.get("transfer-encoding"))).toEqual(["chunked", "chunked"]);
  });

  test("has pieces of every size from 1 to 300, and around those at which its frame grows", async () => {
    const sizes = [
      ...Array.from({ length: 300 }, (_, index) => index + 1),
      4095,
      4096,
      65_000,
      65_535,
      65_536,
      1_048_576,
    ];
    const content = pattern(MB);
    using started = startHttpServer(() =>
      streamReply(async (sink) => {
        for (const size of sizes) await sink.write(new Uint8Array(content.buffer, content.byteOffset, size));
      }),
    );
    const reader = await openReader(started.url, head("GET /", ["connection: close"]));
    const wanted = Buffer.concat(sizes.map((size) => content.subarray(0, size)));
    expect(digest(payloadOf(await reader.all))).toBe(digest(wanted));
  });

  test("that rejects is broken off without an end, and told as a defect", async () => {
    const error = new Error("broken");
    using started = startHttpServer(() =>
      streamReply(async (sink) => {
        await sink.write(Buffer.from("first"));
        await settle();
        throw error;
      }),
    );
    using wire = await openWire(started.url, head("GET /", []));
    await wire.closed;
    expect([wire.received.endsWith("5\r\nfirst\r\n"), started.defects]).toEqual([true, [error]]);
    expect(await wire.answers(1)).toEqual([]);
  });

  test("can be broken off, which is no defect, and aborts its request", async () => {
    const { promise: over, resolve } = Promise.withResolvers<unknown>();
    using started = startHttpServer((request) =>
      streamReply(async (sink) => {
        await sink.write(Buffer.from("first"));
        await settle();
        sink.breakOff();
        resolve([request.signal.aborted, sink.write(Buffer.from("more"))]);
      }),
    );
    using wire = await openWire(started.url, head("GET /", []));
    await wire.closed;
    expect(wire.received).toEndWith("5\r\nfirst\r\n");
    expect([await over, started.defects, started.server.connections]).toEqual([[true, undefined], [], 0]);
  });

  test("takes nothing after its end, also where another answer has begun", async () => {
    const { promise: late, resolve } = Promise.withResolvers<() => void>();
    using started = startHttpServer((request) =>
      request.path === "/first"
        ? streamReply(async (sink) => {
            await sink.write(Buffer.from("first"));
            resolve(() => {
              void sink.write(Buffer.from("late"));
              sink.breakOff();
            });
          })
        : echo(request),
    );
    using wire = await openWire(started.url, head("GET /first", []));
    await wire.answers(1);
    (await late)();
    await wire.write(head("GET /second", []));
    expect(bodies(await wire.answers(2))).toEqual(["first", "GET /second  "]);
  });
});

describe("an answer", () => {
  test("has its date, and the length of its bytes", async () => {
    using started = startHttpServer(() => textReply("drei € – 🙂"));
    const [answer] = await exchange(started.url, head("GET /", []));
    expect(answer?.headers.get("content-length")).toBe(String(Buffer.byteLength("drei € – 🙂")));
    expect(Buffer.from(answer?.body ?? "", "latin1").toString()).toBe("drei € – 🙂");
    const date = answer?.headers.get("date") ?? "";
    expect(date).toMatch(/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/);
    expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(2000);
  });

  test("of a stream has its date too", async () => {
    using started = startHttpServer(() => streamReply(async () => undefined));
    const [answer] = await exchange(started.url, head("GET /", []));
    expect([answer?.headers.has("date"), answer?.headers.get("content-length")]).toEqual([true, null]);
  });

  test("of 204 has no length", async () => {
    using started = startHttpServer(() => ({ status: 204, headers: {}, body: "" }));
    using wire = await openWire(started.url, head("GET /", []));
    expect(await wire.until("\r\n\r\n")).not.toContain("content-length");
  });

  test("of any size, as text or as bytes, arrives as it is", async () => {
    const sizes = [0, 1, 65_000, 65_300, 65_400, 65_450, 65_536, 65_537, 200_000, 3 * MB];
    using started = startHttpServer((request) => {
      const size = Number(request.query);
      const body = request.path === "/text" ? "é".repeat(size) : pattern(size + 4);
      return { status: 200, headers: { "x-pad": "p".repeat(size % 97) }, body };
    });
    for (const size of sizes) {
      for (const [kind, wanted] of [
        ["text", Buffer.from("é".repeat(size))],
        ["bytes", pattern(size + 4)],
      ] as const) {
        const reader = await openReader(started.url, head(`GET /${kind}?${size}`, ["connection: close"]));
        expect([kind, size, digest(payloadOf(await reader.all))]).toEqual([kind, size, digest(wanted)]);
      }
    }
  });

  test("whose size brings head and body just to the end of the buffer they share arrives as it is", async () => {
    using started = startHttpServer((request) => ({
      status: 200,
      headers: {},
      body: "x".repeat(Number(request.query)),
    }));
    using wire = await openWire(started.url);
    for (let size = 65_350; size < 65_460; size += 1) {
      wire.forget();
      await wire.write(head(`GET /?${size}`, []));
      const [answer] = await wire.answers(1);
      expect(answer?.body === "x".repeat(size)).toBe(true);
    }
  });

  test("with a header that is not one line never gets out: it is a defect, and the connection ends", async () => {
    const values = ["a\r\nx-evil: 1", "a\rb", "a\nb", "a\0b", "a\u007f", "\u20ac", "a\r\n\r\n<html>"];
    for (const value of values) {
      for (const body of ["whole", { run: async () => undefined }]) {
        using started = startHttpServer(() => ({ status: 200, headers: { "x-a": value }, body }));
        using wire = await openWire(started.url, head("GET /", []));
        await wire.closed;
        expect([wire.received, started.defects]).toEqual(["", [expect.any(RangeError)]]);
        expect(started.server.connections).toBe(0);
      }
    }
  });

  test("that cannot be begun has its stream run all the same, so that what it holds is freed", async () => {
    let runs = 0;
    using started = startHttpServer(() => ({
      status: 200,
      headers: { "x-a": "a\r\nb" },
      body: {
        async run() {
          runs += 1;
        },
      },
    }));
    using wire = await openWire(started.url, head("GET /", []));
    await wire.closed;
    await settle();
    expect(runs).toBe(1);
  });
});

describe("time", () => {
  /** A server whose time stands still, and one client that it has seen. */
  async function still(
    handle: (request: ClientRequest) => Promise<Reply> | Reply,
    bytes: string,
  ): Promise<{
    readonly wire: Wire;
    readonly connections: () => number;
    readonly pass: (ms: number) => Promise<void>;
    [Symbol.dispose](): void;
  }> {
    const clock = new ManualClock();
    const started = startHttpServer(handle, { clock, idleMs: 30_000 });
    const wire = await openWire(started.url, bytes);
    await eventually(async () => started.server.connections === 1, "it is there");
    await settle();
    return {
      wire,
      connections: () => started.server.connections,
      async pass(ms) {
        clock.advance(ms);
        await settle();
      },
      [Symbol.dispose]() {
        wire.hangUp();
        started[Symbol.dispose]();
      },
    };
  }

  test("is up for a connection on which nothing was ever asked", async () => {
    using server = await still(echo, "");
    await server.pass(29_500);
    expect(server.wire.isClosed).toBe(false);
    await server.pass(1000);
    expect([server.wire.isClosed, server.wire.received]).toEqual([true, ""]);
  });

  test("is up for one on which nothing more is asked, counted from its last answer", async () => {
    using server = await still(echo, head("GET /", []));
    await server.pass(20_000);
    await server.wire.write(head("GET /", []));
    await server.wire.answers(2);
    await server.pass(20_000);
    expect(server.wire.isClosed).toBe(false);
    await server.pass(11_000);
    expect(server.wire.isClosed).toBe(true);
  });

  test("is up for a head that is not whole after 10 s, however it trickles", async () => {
    using server = await still(echo, "GET / HTTP/1.1\r\n");
    for (let second = 0; second < 9; second += 1) {
      await server.wire.write(`x-${second}: 1\r\n`);
      await server.pass(1000);
    }
    expect(server.wire.isClosed).toBe(false);
    await server.pass(1500);
    const [answer] = await server.wire.answers(1);
    expect([answer?.status, answer?.body, server.wire.isClosed]).toEqual([408, "request_timeout", true]);
  });

  test("is not that of a head after an empty line that came in two pieces", async () => {
    using server = await still(echo, "\r");
    await server.wire.write("\n");
    await settle();
    await server.pass(15_000);
    expect([server.wire.received, server.wire.isClosed]).toEqual(["", false]);
  });

  test("is up for one on which only empty lines come, however they are cut", async () => {
    using server = await still(echo, "");
    for (let half = 0; half < 10; half += 1) {
      await server.wire.write(half % 2 === 0 ? "\r" : "\n");
      await server.pass(2900);
    }
    expect([server.wire.isClosed, server.wire.received]).toEqual([false, ""]);
    await server.pass(1500);
    expect([server.wire.isClosed, server.wire.received]).toEqual([true, ""]);
  });

  test("is not up for a request that is answered, however long that takes", async () => {
    const handler = held(echo);
    using server = await still(handler.handle, post("/", "x"));
    await server.pass(3_600_000);
    expect(server.wire.isClosed).toBe(false);
    handler.release();
    expect(bodies(await server.wire.answers(1))).toEqual(["POST /  x"]);
  });

  test("is up for a client that does not close its side 2 s after the last answer", async () => {
    using server = await still(echo, head("GET /", ["connection: close"]));
    await server.wire.closed;
    await server.pass(1500);
    expect(server.connections()).toBe(1);
    await server.pass(1000);
    expect(server.connections()).toBe(0);
  });

  test("is up for a client that takes nothing of an answer that is whole", async () => {
    const body = Buffer.alloc(20 * MB);
    using server = await still(() => ({ status: 200, headers: {}, body }), "");
    server.wire.pause();
    await server.wire.write(head("GET /", []));
    await Bun.sleep(50);
    await server.pass(29_000);
    expect(server.connections()).toBe(1);
    await server.pass(2000);
    expect(server.connections()).toBe(0);
  });

  test("is up for the rest of a body that nobody wants and that does not come", async () => {
    using server = await still(() => textReply("ignored"), post("/", "hello").slice(0, -1));
    expect(bodies(await server.wire.answers(1))).toEqual(["ignored"]);
    await server.pass(29_000);
    expect(server.connections()).toBe(1);
    await server.pass(2000);
    expect(server.connections()).toBe(0);
  });
});

describe("more connections than an address may have", () => {
  test("are refused with 429, until one of the others has ended", async () => {
    using started = startHttpServer(echo, { maxPerAddress: 2 });
    using first = await openWire(started.url, head("GET /1", []));
    await first.answers(1);
    const second = await openWire(started.url, head("GET /2", []));
    await second.answers(1);
    {
      using third = await openWire(started.url);
      await third.closed;
      const [answer] = await third.answers(1);
      expect([answer?.status, answer?.body, answer?.headers.get("connection")]).toEqual([
        429,
        "too_many_connections",
        "close",
      ]);
    }
    second.hangUp();
    await eventually(async () => started.server.connections === 1, "one is left");
    using fourth = await openWire(started.url, head("GET /4", []));
    expect(bodies(await fourth.answers(1))).toEqual(["GET /4  "]);
    await first.write(head("GET /5", []));
    expect(bodies(await first.answers(2)).at(-1)).toBe("GET /5  ");
  });
});

describe("more connections than there is room for", () => {
  /** Room for so many connections, which can change. */
  function room(
    most: number,
    options: { maxPerAddress?: number } = {},
  ): {
    readonly started: ReturnType<typeof startHttpServer>;
    become(most: number): void;
    [Symbol.dispose](): void;
  } {
    const clock = new ManualClock();
    let now = most;
    const started = startHttpServer(echo, { clock, maxConnections: () => now, ...options });
    return {
      started,
      become(most) {
        now = most;
        clock.advance(500);
      },
      [Symbol.dispose]: () => started[Symbol.dispose](),
    };
  }

  test("are turned away with 503, until there is room again", async () => {
    using small = room(1);
    const { url, server } = small.started;
    const first = await openWire(url, head("GET /1", []));
    await first.answers(1);
    {
      using second = await openWire(url);
      await second.closed;
      const [answer] = await second.answers(1);
      expect([answer?.status, answer?.body, answer?.headers.get("connection")]).toEqual([503, "overloaded", "close"]);
    }
    expect(server.connections).toBe(1);
    first.hangUp();
    await eventually(async () => server.connections === 0, "it is gone");
    using third = await openWire(url, head("GET /3", []));
    expect(bodies(await third.answers(1))).toEqual(["GET /3  "]);
  });

  test("are closed where the room becomes less, those that came last and ask nothing first", async () => {
    using small = room(4);
    const { url } = small.started;
    const wires: Wire[] = [];
    for (let count = 0; count < 4; count += 1) {
      const wire = await openWire(url, head(`GET /${count}`, []));
      await wire.answers(1);
      wires.push(wire);
    }
    await wires[3]?.write("GET /begun");
    await settle();
    small.become(2);
    await eventually(async () => small.started.server.connections === 2, "two are closed");
    await settle();
    expect(wires.map(({ isClosed }) => isClosed)).toEqual([false, true, true, false]);
    for (const wire of wires) wire.hangUp();
  });

  test("do not count for their address once they were turned away", async () => {
    using small = room(0, { maxPerAddress: 1 });
    const { url, server } = small.started;
    using first = await openWire(url);
    await first.closed;
    expect([(await first.answers(1))[0]?.body, server.connections]).toEqual(["overloaded", 0]);
    small.become(10);
    using second = await openWire(url, head("GET /2", []));
    expect(bodies(await second.answers(1))).toEqual(["GET /2  "]);
  });
});

describe("a server that ends", () => {
  test("by leaving says close with its next answers, and takes no request behind them", async () => {
    using started = startHttpServer(echo);
    using wire = await openWire(started.url, head("GET /a", []));
    await wire.answers(1);
    started.server.beginToLeave();
    await settle();
    expect(wire.isClosed).toBe(false);
    await wire.write(head("GET /b", []) + head("GET /c", []));
    await wire.closed;
    const answers = await wire.answers(3);
    expect(answers.map(({ body, headers }) => [body, headers.get("connection")])).toEqual([
      ["GET /a  ", null],
      ["GET /b  ", "close"],
    ]);
    using late = await openWire(started.url, head("GET /d", []));
    expect((await late.answers(1)).map(({ headers }) => headers.get("connection"))).toEqual(["close"]);
  });

  test("by listening no more closes what is idle, and lets what is asked be answered", async () => {
    const handler = held();
    using started = startHttpServer((request) => (request.path === "/held" ? handler.handle(request) : echo(request)));
    using unborn = await openWire(started.url);
    using idle = await openWire(started.url, head("GET /", []));
    using busy = await openWire(started.url, head("GET /held", []));
    using begun = await openWire(started.url, "GET /begun HTTP/1.1\r\n");
    await idle.answers(1);
    await handler.begun;
    await eventually(async () => started.server.connections === 4, "all are there");
    await settle();
    started.server.stopListening();
    await Promise.all([unborn.closed, idle.closed]);
    expect([unborn.received, busy.isClosed, begun.isClosed]).toEqual(["", false, false]);
    expect(await openWire(started.url).catch(() => "refused")).toBe("refused");
    handler.release();
    expect(bodies(await busy.answers(1))).toEqual(["held"]);
    await begun.write("host: gateway\r\n\r\n");
    expect(bodies(await begun.answers(1))).toEqual(["GET /begun  "]);
  });

  test("at once closes every connection, and those who answer hear of it", async () => {
    const handler = held();
    using started = startHttpServer((request) => (request.path === "/held" ? handler.handle(request) : echo(request)));
    using unborn = await openWire(started.url);
    using idle = await openWire(started.url, head("GET /", []));
    using busy = await openWire(started.url, head("GET /held", []));
    using begun = await openWire(started.url, "GET /");
    await idle.answers(1);
    const request = await handler.begun;
    await eventually(async () => started.server.connections === 4, "all are there");
    started.server.stop();
    expect([started.server.connections, request.signal.aborted]).toEqual([0, true]);
    await Promise.all([unborn, idle, busy, begun].map(({ closed }) => closed));
    handler.release();
    await settle();
    expect([busy.received, started.defects]).toEqual(["", []]);
  });
});

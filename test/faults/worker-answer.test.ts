import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { jsonAnswer, type RawExchange, startEngine, startRawEngine, STREAM_HEAD, chunk } from "../support/engine.ts";
import { type Api, APIS, CHAT, expectError, RESPONSES } from "./apis.ts";
import { ask, dig, lineOf, type Reply, repeat, tally, workerView, expectOneLineEach } from "./ask.ts";
import { eventually, expectSameProcessServes, observe, rssRise } from "./observe.ts";
import { type FaultGateway, type Served, startFaultGateway } from "./setup.ts";

const THRESHOLD = 3;
const MB = 1024 * 1024;

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--cb-failure-threshold", String(THRESHOLD)]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

interface Asked {
  readonly reply: Reply;
  /** Head of the request as the worker got it. */
  readonly head: string;
  readonly generations: number;
}

let models = 0;

/** One request of the API to a worker of its own that answers like this. */
async function askOne(
  api: Api,
  answer: string | Uint8Array | ((exchange: RawExchange) => void),
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Asked> {
  models += 1;
  let head = "";
  await using engine = await startRawEngine((exchange) => {
    head = exchange.head;
    if (typeof answer === "function") answer(exchange);
    else exchange.write(answer);
  });
  await using _served = await gateway.serve(`answer-${models}`, [engine.url]);
  const reply = await ask(gateway, api, `answer-${models}`, extra);
  return { reply, head, generations: engine.generations };
}

async function breakers(served: Served): Promise<unknown[]> {
  return Promise.all(served.ids.map(async (id) => (await workerView(gateway, id))["breaker"]));
}

const OK = (api: Api = CHAT): string => jsonAnswer(api.whole("fine"));
const VLLM_500 = JSON.stringify({
  error: { message: "CUDA error in /root/secret.py line 7 at 127.0.0.1:8000", type: "InternalServerError", code: 500 },
});

describe("a worker that says that it failed", () => {
  for (const api of APIS) {
    for (const stream of [false, true]) {
      test(`row 16: 500 is told without what the worker said of itself: ${api.name}, stream ${stream}`, async () => {
        const { reply, generations } = await askOne(api, jsonAnswer(VLLM_500, "500 Internal Server Error"), { stream });
        expectError(api, reply, 500, { code: "upstream_error" });
        observe(16, "500 `upstream_error` in each API, 1 attempt");
        expect(reply.text).not.toContain("secret.py");
        expect(generations).toBe(1);
      });
    }
  }

  test("row 16: 500 is not tried elsewhere, and one client's do not open a breaker", async () => {
    const answer = ({ write }: RawExchange): void => write(jsonAnswer(VLLM_500, "500 Internal Server Error"));
    await using one = await startRawEngine(answer);
    await using two = await startRawEngine(answer);
    await using served = await gateway.serve("m16", [one.url, two.url]);
    const replies = await repeat(20, 4, () => ask(gateway, CHAT, "m16"));
    expect(tally(replies.map(({ status }) => status))).toEqual({ 500: 20 });
    expect([one.generations, two.generations]).toEqual([10, 10]);
    expect(await breakers(served)).toEqual(["closed", "closed"]);
    observe(16, "20 × 500 of one client: 20 generations, both breakers closed");
  });
});

describe("a worker that says that it is full", () => {
  const full =
    (status: string, secs: number) =>
    ({ write }: RawExchange): void =>
      write(jsonAnswer('{"error":{"message":"no room"}}', status, `retry-after: ${secs}\r\n`));
  const STATUSES: Readonly<Record<string, string>> = {
    "row 17: a worker that is full says 503": "503 Service Unavailable",
    "row 18: a worker that is full says 429": "429 Too Many Requests",
  };

  for (const [row, status] of Object.entries(STATUSES)) {
    describe.concurrent(row, () => {
      test(`${row}: the request goes elsewhere, and the worker rests for as long as it said`, async () => {
        await using busy = await startRawEngine(full(status, 2));
        await using engine = await startEngine({ model: `${row} one` });
        await using _served = await gateway.serve(`${row} one`, [busy.url, engine.url]);
        const first = performance.now();
        const replies = await repeat(20, 1, (seed) => ask(gateway, CHAT, `${row} one`, { seed }));
        expect(tally(replies.map((reply) => reply.status))).toEqual({ 200: 20 });
        expect(engine.stats.started).toBe(20);
        expect(busy.generations).toBe(1);
        await Bun.sleep(2100 - (performance.now() - first));
        await repeat(4, 1, (seed) => ask(gateway, CHAT, `${row} one`, { seed }));
        expect(busy.generations).toBe(2);
        observe(Number(row.slice(4, 6)), "20 of 20 answered 200, 1 request at the full worker in its 2 s of rest");
      });

      test(`${row} from all: the client is told when the first of them can be asked again`, async () => {
        await using longer = await startRawEngine(full(status, 9));
        await using shorter = await startRawEngine(full(status, 5));
        await using _served = await gateway.serve(`${row} all`, [longer.url, shorter.url]);
        await ask(gateway, CHAT, `${row} all`);
        const known = longer.generations + shorter.generations;
        expect(known).toBe(2);
        for (const api of APIS) {
          const reply = await ask(gateway, api, `${row} all`);
          const { error } = await lineOf(gateway, reply);
          expect(error).toBeOneOf(["upstream_busy", "no_available_workers"]);
          expectError(api, reply, 503, { code: String(error), anthropic: "overloaded_error" });
          expect(reply.headers.get("retry-after")).toBeOneOf(["4", "5"]);
        }
        expect(longer.generations + shorter.generations).toBe(known);
        observe(
          Number(row.slice(4, 6)),
          "all full for 9 and 5 s: 503 (529 on /v1/messages), Retry-After 4 or 5, nothing sent",
        );
      });

      test(`${row} for longer than anybody waits: the client is told two minutes at most`, async () => {
        await using busy = await startRawEngine(full(status, 86_400));
        await using _served = await gateway.serve(`${row} long`, [busy.url]);
        for (const _turn of [1, 2]) {
          const secs = Number((await ask(gateway, CHAT, `${row} long`)).headers.get("retry-after"));
          expect(secs).toBeWithin(1, 121);
          observe(Number(row.slice(4, 6)), `a day of rest: Retry-After ${secs}`);
        }
      });
    });
  }
});

describe("a worker that refuses", () => {
  for (const status of ["401 Unauthorized", "403 Forbidden"]) {
    describe(status, () => {
      let served: Served;
      let disposeEngine: () => Promise<void>;
      beforeAll(async () => {
        const body = '{"error":"Unauthorized: key sk-worker"}';
        const engine = await startRawEngine(({ write }) => write(jsonAnswer(body, status)));
        disposeEngine = () => Promise.resolve(engine[Symbol.asyncDispose]());
        served = await gateway.serve(status, [engine.url]);
      });
      afterAll(async () => {
        await served[Symbol.asyncDispose]();
        await disposeEngine();
      });

      test(`row 19: ${status}: the gateway's credential is at fault, and not the client's`, async () => {
        const reply = await ask(gateway, CHAT, status);
        expectError(CHAT, reply, 502, { code: "upstream_auth_failed" });
        expect(reply.text).not.toContain("sk-worker");
        const errors = { model: status, code: "upstream_auth_failed" };
        expect(await gateway.metric("pointsman_request_errors_total", errors)).toBe(1);
      });

      test(`row 19: ${status}: each API tells it in its own words`, async () => {
        for (const api of APIS) {
          for (const stream of [false, true]) {
            const { reply } = await askOne(api, jsonAnswer('{"error":"Unauthorized: key sk-worker"}', status), {
              stream,
            });
            expectError(api, reply, 502, { code: "upstream_auth_failed" });
          }
        }
        observe(19, "502 `upstream_auth_failed` in each API, a line of level 40 or more, the worker out");
      });

      test(`row 19: ${status}: the operator is told in a line of its own`, async () => {
        const isTold = (line: Record<string, unknown>): boolean =>
          Number(line["level"]) >= 40 && line["worker"] === served.ids[0];
        await eventually(() => gateway.lines().some(isTold), "the operator is told");
      });

      test(`row 19: ${status}: the worker is out`, async () => {
        await eventually(async () => !(await workerView(gateway, served.ids[0]))["is_healthy"], "the worker is out");
      });
    });
  }

  const NOT_FOUND = JSON.stringify({
    error: { message: "The model `m20` does not exist.", type: "NotFoundError", param: "model", code: 404 },
  });

  test("row 20: 404 for a model that another worker serves: that one has the request, and this one is asked anew", async () => {
    await using changed = await startRawEngine(({ write }) => write(jsonAnswer(NOT_FOUND, "404 Not Found")));
    await using engine = await startEngine({ model: "m20" });
    await using _served = await gateway.serve("m20", [changed.url, engine.url]);
    const asked = changed.modelQuestions;
    const replies = await repeat(4, 1, (seed) => ask(gateway, CHAT, "m20", { seed }));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    await eventually(() => changed.modelQuestions > asked, "the worker is asked what it serves");
    observe(20, `4 of 4 answered 200, the worker that lost the model is asked anew`);
  });

  test("row 20: 404 for a model that no worker serves any more: the client is told so", async () => {
    for (const api of APIS) {
      const { reply } = await askOne(api, jsonAnswer(NOT_FOUND, "404 Not Found"));
      expectError(api, reply, 404, {
        code: "model_not_found",
        type: "invalid_request_error",
        anthropic: "not_found_error",
      });
    }
    observe(20, "nobody has it: 404 `model_not_found` in each API");
  });

  const REFUSALS: Readonly<Record<string, string>> = {
    "older vLLM":
      '{"object":"error","message":"max_tokens is too large","type":"BadRequestError","param":"max_tokens","code":400}',
    vLLM: '{"error":{"message":"max_tokens is too large","type":"BadRequestError","param":"max_tokens","code":400}}',
  };
  for (const [engine, body] of Object.entries(REFUSALS)) {
    for (const stream of [false, true]) {
      test(`rows 21, 22: 400 as ${engine} says it, in the client's API, as JSON: stream ${stream}`, async () => {
        for (const api of APIS) {
          const { reply, generations } = await askOne(api, jsonAnswer(body, "400 Bad Request"), { stream });
          expect(reply.status).toBe(400);
          expect(reply.headers.get("content-type")).toStartWith("application/json");
          const error = dig(JSON.parse(reply.text), "error");
          const refused = { type: "invalid_request_error", message: "max_tokens is too large", param: "max_tokens" };
          expect(error).toMatchObject(refused);
          expect(typeof dig(error, "code")).not.toBe("number");
          expect(generations).toBe(1);
        }
        observe(21, "400 `invalid_request_error` with message and `param` in each API, 1 attempt");
        observe(22, "400 as `application/json`");
      });
    }
  }

  test("row 22: an error to a stream keeps its status and is JSON, whatever the worker calls it", async () => {
    const body = '{"error":{"message":"refused"}}';
    for (const status of ["400 Bad Request", "422 Unprocessable Entity", "413 Payload Too Large", "500 Error"]) {
      const head = `HTTP/1.1 ${status}\r\ncontent-type: text/event-stream\r\n`;
      const { reply } = await askOne(CHAT, `${head}content-length: ${body.length}\r\n\r\n${body}`, { stream: true });
      expect(reply.status).toBe(Number(status.slice(0, 3)));
      expect(reply.headers.get("content-type")).toStartWith("application/json");
      expect(dig(JSON.parse(reply.text), "error", "type")).toBeString();
      observe(22, `${reply.status} as \`application/json\``);
    }
  });
});

describe("an answer that is none", () => {
  const html = "<html>it works</html>";
  const NO_ANSWERS: Readonly<Record<string, string>> = {
    "row 25: a page": `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: ${html.length}\r\n\r\n${html}`,
    "row 25: no type": `HTTP/1.1 200 OK\r\ncontent-length: ${html.length}\r\n\r\n${html}`,
    "row 26: cut JSON": jsonAnswer('{"id":"it works","choices":[{"ind'),
    "row 26: no JSON": jsonAnswer("it works"),
    "row 26: no body": jsonAnswer(""),
  };
  for (const [name, answer] of Object.entries(NO_ANSWERS)) {
    test(`${name}: an error, and nothing of it is relayed`, async () => {
      for (const api of APIS) {
        const { reply } = await askOne(api, answer);
        expectError(api, reply, 502, { code: "invalid_upstream_response" });
        expect(reply.text).not.toContain("it works");
        observe(Number(name.slice(4, 6)), "502 `invalid_upstream_response` in each API");
      }
    });
  }

  test("row 26: large cut JSON: an error as well", async () => {
    const { reply } = await askOne(CHAT, jsonAnswer(`{"id":"it works","text":"${"x".repeat(MB)}`));
    expectError(CHAT, reply, 502, { code: "invalid_upstream_response" });
  });

  test("row 26: such answers are faults of the worker", async () => {
    await using engine = await startRawEngine(({ write }) => write(jsonAnswer('{"id":')));
    await using served = await gateway.serve("m26", [engine.url]);
    for (let seed = 0; seed < THRESHOLD; seed += 1) await ask(gateway, CHAT, "m26", { seed });
    expect(await breakers(served)).toEqual(["open"]);
    observe(26, `breaker open after ${THRESHOLD}`);
  });
});

describe("headers", () => {
  const answerWith = (headers: string, body = CHAT.whole("fine")): string => jsonAnswer(body, "200 OK", headers);
  const BAD_HEADERS: Readonly<Record<string, string>> = {
    "row 32: a header of 200 kB": `x-long: ${"a".repeat(200_000)}\r\n`,
    "row 32: 5,000 headers": Array.from({ length: 5000 }, (_, index) => `x-${index}: 1\r\n`).join(""),
    "row 33: a carriage return in a value": "x-note: b\rX-Evil: 1\r\n",
    "row 33: a line feed in a value": "x-note: b\nX-Evil: 1\r\n",
    "row 33: a NUL in a value": "x-note: b\0c\r\n",
    "row 33: a folded value": "x-note: b\r\n X-Evil: 1\r\n",
    "row 33: a space before the colon": "x-evil : 1\r\n",
  };
  for (const [name, headers] of Object.entries(BAD_HEADERS)) {
    test(`${name}: an error, and no header of it reaches the client`, async () => {
      for (const stream of [false, true]) {
        const { reply } = await askOne(CHAT, answerWith(headers), { stream });
        expectError(CHAT, reply, 502, { code: "upstream_protocol_error" });
        expect([...reply.headers.keys()].filter((key) => /^x-(?!request-id|should-retry)/.test(key))).toEqual([]);
        observe(Number(name.slice(4, 6)), "502 `upstream_protocol_error`");
      }
    });
  }

  test("rows 34, 35: what is between gateway and worker, names the worker or sets cookies stays here", async () => {
    const private_ = [
      "connection: keep-alive, x-hop",
      "x-hop: 1",
      "keep-alive: timeout=5",
      "proxy-authenticate: Basic",
      "server: uvicorn",
      "x-worker: gpu-7",
      "x-powered-by: vLLM",
      "set-cookie: a=1",
      "set-cookie: b=2",
      "access-control-allow-origin: *",
      "location: http://127.0.0.1/",
    ];
    const headers = private_.map((line) => `${line}\r\n`).join("");
    const allowed = new Set(["content-type", "content-length", "date", "x-request-id", "request-id"]);
    const ofStreams = new Set([...allowed, "cache-control", "x-accel-buffering", "transfer-encoding", "connection"]);
    for (const api of APIS) {
      const { reply } = await askOne(api, answerWith(headers, api.whole("fine")));
      expect([reply.status, reply.text]).toEqual([200, api.whole("fine")]);
      expect([...reply.headers.keys()].filter((key) => !allowed.has(key))).toEqual([]);
      const head = STREAM_HEAD.replace("\r\n\r\n", `\r\n${headers}\r\n`);
      const { reply: streamed } = await askOne(
        api,
        `${head}${chunk(api.opening + api.delta("one", 0) + api.ending(1))}0\r\n\r\n`,
        { stream: true },
      );
      expect(streamed.status).toBe(200);
      expect([...streamed.headers.keys()].filter((key) => !ofStreams.has(key))).toEqual([]);
      expect(streamed.headers.get("connection") ?? "").not.toContain("x-hop");
    }
    observe(34, `none of ${private_.length} such headers reaches the client, in each API, streamed or not`);
    observe(35, "0 of 2 reach the client");
  });
});

describe("an answer that is encoded", () => {
  const encoded = (encoding: string, body: Uint8Array, type = "application/json"): Uint8Array =>
    Buffer.concat([
      Buffer.from(
        `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-encoding: ${encoding}\r\ncontent-length: ${body.length}\r\n\r\n`,
      ),
      body,
    ]);

  test("row 36: no encoding is asked for, and one that comes nevertheless is decoded or refused", async () => {
    for (const api of APIS) {
      const { reply, head } = await askOne(api, encoded("gzip", gzipSync(api.whole("packed"))));
      expect(head.toLowerCase()).toContain("\r\naccept-encoding: identity");
      expectDecodedOrRefused(api, reply);
    }
    const stream = gzipSync(CHAT.delta("packed", 0) + CHAT.ending(1));
    const { reply } = await askOne(CHAT, encoded("gzip", stream, "text/event-stream"), { stream: true });
    expectError(CHAT, reply, 502, { code: "invalid_upstream_response" });
    observe(36, "`accept-encoding: identity` at the worker; an encoded stream is 502");
  });

  test("row 37: 200 MB of spaces packed small, and a thousand layers: refused, and they take no memory", async () => {
    const bomb = gzipSync(Buffer.alloc(200 * MB, " "));
    const layers = Array.from({ length: 1000 }, () => "gzip").join(", ");
    await askOne(CHAT, encoded("gzip", gzipSync("{}")));
    const rise = await rssRise(gateway, async () => {
      for (const encoding of ["gzip", layers]) {
        const { reply } = await askOne(CHAT, encoded(encoding, bomb));
        expectError(CHAT, reply, 502, { code: "invalid_upstream_response" });
      }
    });
    expect(rise).toBeLessThanOrEqual(32);
    observe(37, `502, resident memory ${rise.toFixed(1)} MB more`);
  });

  function expectDecodedOrRefused(api: Api, reply: Reply): void {
    if (reply.status === 200) expect(reply.text).toBe(api.whole("packed"));
    else expectError(api, reply, 502, { code: "invalid_upstream_response" });
    observe(36, `an encoded answer is ${reply.status}`);
  }
});

describe("answers of other kinds", () => {
  test("row 38: a redirect is not followed", async () => {
    await using target = await startRawEngine(({ write }) => write(OK()));
    for (const status of ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]) {
      for (const api of APIS) {
        const { reply } = await askOne(
          api,
          `HTTP/1.1 ${status}\r\nlocation: ${target.url}${api.path}\r\ncontent-length: 0\r\n\r\n`,
        );
        expectError(api, reply, 502, { code: "invalid_upstream_response" });
      }
    }
    expect([target.generations, target.openConnections]).toEqual([0, 0]);
    observe(38, "5 statuses in each API: 502, 0 requests and 0 connections at the target");
  });

  test("row 39: a few informational answers are skipped, a thousand are an error", async () => {
    const early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    const few = await askOne(CHAT, early.repeat(10) + OK());
    expect([few.reply.status, few.reply.text]).toEqual([200, CHAT.whole("fine")]);
    const many = await askOne(RESPONSES, early.repeat(500) + OK(RESPONSES));
    expectError(RESPONSES, many.reply, 502, { code: "upstream_protocol_error" });
    const within = await askOne(CHAT, early.repeat(16) + OK());
    const beyond = await askOne(CHAT, early.repeat(16) + early.slice(0, early.indexOf("HTTP", 1)) + OK());
    expect([within.reply.status, beyond.reply.status]).toEqual([200, 502]);
    observe(39, "20 and 32 skipped, 33 and 1,000 are 502");
  });

  test("row 40: an upgrade that nobody asked for: an error, and the connection is closed", async () => {
    for (const api of APIS) {
      const closed = Promise.withResolvers<void>();
      const { reply } = await askOne(api, (exchange) => {
        void exchange.closed.then(closed.resolve);
        exchange.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      });
      expectError(api, reply, 502, { code: "upstream_protocol_error" });
      await closed.promise;
    }
    observe(40, "502 `upstream_protocol_error` in each API, 3 of 3 sockets closed");
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { clientIdOf, startEngine } from "../support/engine.ts";
import { expectSameProcessServes, observe, openaiError, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire } from "./wire.ts";

const CHAT = "/v1/chat/completions";

let gateway: FaultGateway;
let engine: SimulatedEngine;
let served: Served;
beforeAll(async () => {
  gateway = await startFaultGateway();
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

/** A body that is a whole request itself, for who takes its framing otherwise. */
const SMUGGLED = jsonPost(CHAT, chat("m"), ["x-request-id: smuggled"]);
const NEXT = jsonPost(CHAT, chat("m"), ["x-request-id: next"]);
const LENGTH = `content-length: ${SMUGGLED.length}`;
const CHUNKED = "transfer-encoding: chunked";

function request(fields: readonly string[], body = SMUGGLED, start = `POST ${CHAT} HTTP/1.1`): string {
  return `${[start, "host: gateway", "content-type: application/json", ...fields].join("\r\n")}\r\n\r\n${body}`;
}

/** `body` as one chunk; its parts can be bent. */
function chunks({ size = SMUGGLED.length.toString(16), ext = "", eol = "\r\n", end = "\r\n" } = {}): string {
  return `${size}${ext}${eol}${SMUGGLED}${end}0${eol}${eol}`;
}

describe("requests that two readers would cut differently", () => {
  const withoutHost = (bytes: string): string => bytes.replace("host: gateway\r\n", "");
  const refused: readonly [name: string, bytes: string][] = [
    ["a length and chunks", request([LENGTH, CHUNKED], chunks())],
    ["chunks and a length", request([CHUNKED, LENGTH], chunks())],
    ["two different lengths", request([LENGTH, "content-length: 5"])],
    ["a length with a plus", request([`content-length: +${SMUGGLED.length}`])],
    ["a negative length", request(["content-length: -1"])],
    ["a hexadecimal length", request(["content-length: 0x5"])],
    ["a list of lengths", request(["content-length: 5, 5"])],
    ["an empty length", request(["content-length: "])],
    ["a length with a space in it", request(["content-length: 1 0"])],
    ["a length beyond 64 bits", request(["content-length: 18446744073709551621"])],
    ["a space before the colon of a length", request([`content-length : ${SMUGGLED.length}`])],
    ["a space before the colon of Transfer-Encoding", request(["transfer-encoding : chunked"], chunks())],
    ["xchunked", request(["transfer-encoding: xchunked"], chunks())],
    ["chunked, then identity", request(["transfer-encoding: chunked, identity"], chunks())],
    ["chunked twice", request(["transfer-encoding: chunked, chunked"], chunks())],
    ["two Transfer-Encodings", request([CHUNKED, "transfer-encoding: identity"], chunks())],
    ["a vertical tab before chunked", request(["transfer-encoding: \u000bchunked"], chunks())],
    ["chunk lines that LF ends", request([CHUNKED], chunks({ eol: "\n" }))],
    ["an LF in a chunk's extension", request([CHUNKED], chunks({ ext: ";a\nb" }))],
    ["a chunk line that CR and another byte end", request([CHUNKED], chunks({ eol: "\rX" }))],
    ["a chunk's size with 0x", request([CHUNKED], chunks({ size: `0x${SMUGGLED.length.toString(16)}` }))],
    ["a negative chunk", request([CHUNKED], chunks({ size: "-5" }))],
    ["a chunk's size beyond 64 bits", request([CHUNKED], chunks({ size: `1${"0".repeat(16)}5` }))],
    ["a chunk that other bytes end", request([CHUNKED], chunks({ end: "XX" }))],
    ["a chunk's extension of 100 kB", request([CHUNKED], chunks({ ext: `;${"a".repeat(100_000)}` }))],
    ["framing in a trailer", request([CHUNKED], `${chunks().slice(0, -2)}content-length: 5\r\n\r\n`)],
    ["a folded header", request([LENGTH, "x-a: b", " c"])],
    ["a CR in a value", request([LENGTH, "x-a: b\rc"])],
    ["an LF that ends a header", request([`${LENGTH}\nx-a: b`])],
    ["LF for all line ends", request([LENGTH]).replaceAll("\r\n", "\n")],
    ["a NUL in a value", request([LENGTH, "x-a: b\0c"])],
    ["a header without a name", request([LENGTH, ": b"])],
    ["a header without a colon", request([LENGTH, "x-a"])],
    ["a space in a header's name", request([LENGTH, "x a: b"])],
    ["a space before the first header", request([LENGTH]).replace("host:", " host:")],
    ["CR and another byte for the blank line", request([LENGTH]).replace("\r\n\r\n", "\r\n\rX")],
    ["no Host", withoutHost(request([LENGTH]))],
    ["two Hosts", request([LENGTH, "host: other"])],
    ["a Host with a path", request([LENGTH]).replace("host: gateway", "host: gateway/health?x")],
    ["HTTP/1.0 with chunks", request([CHUNKED], chunks(), `POST ${CHAT} HTTP/1.0`)],
    ["HTTP/0.9", `GET ${CHAT}\r\n\r\n`],
    ["HTTP/2 without TLS", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`],
    ["tabs in the request line", request([LENGTH], SMUGGLED, `POST\t${CHAT}\tHTTP/1.1`)],
    ["headers of more than 16 KiB", request([LENGTH, `x-a: ${"a".repeat(20_000)}`])],
  ];
  for (const [name, bytes] of refused) {
    test(`row 70: ${name}: refused, closed, and no worker hears of it or of what follows`, async () => {
      using wire = await openWire(gateway.url, bytes + NEXT);
      const statuses = (await unseenBy(engine, () => wire.answers(3, 1000))).map(({ status }) => status);
      expect([statuses.length > 0, wire.isClosed]).toEqual([true, true]);
      for (const status of statuses) expect(status).toBeOneOf([400, 413, 417, 431, 501, 505]);
      observe(70, `${refused.length} forms: ${[...new Set(statuses)].join(", ")}`);
    });
  }

  test("row 70: a refusal of the parser has an error as JSON", async () => {
    const [answer] = await exchange(gateway.url, request(["content-length: -1"]));
    observe(70, `a refusal is \`${openaiError(answer?.body ?? "{}").code}\``);
    expect(openaiError(answer?.body ?? "{}").type).toBe("invalid_request_error");
  });

  // Well framed, if odd: one request, and the next one is the next one.
  const harmless: readonly [name: string, bytes: string][] = [
    ["Transfer_Encoding", request([`content-length: ${plain().length}`, "transfer_encoding: chunked"], plain())],
    ["a header named __proto__", request([`content-length: ${plain().length}`, "__proto__: chunked"], plain())],
    ["the same length twice", request(Array<string>(2).fill(`content-length: ${plain().length}`), plain())],
    [
      "an upgrade to h2c",
      request([`content-length: ${plain().length}`, "connection: upgrade", "upgrade: h2c"], plain()),
    ],
    [
      "an upgrade to a WebSocket",
      request([`content-length: ${plain().length}`, "connection: upgrade", "upgrade: websocket"], plain()),
    ],
    ["an unknown Expect", request([`content-length: ${plain().length}`, "expect: nothing"], plain())],
    [
      "a whole URL as the target",
      request([`content-length: ${plain().length}`], plain(), `POST http://gateway${CHAT} HTTP/1.1`),
    ],
  ];
  for (const [name, bytes] of harmless) {
    test(`row 70: ${name}: refused, or one request and then the next`, async () => {
      const from = engine.requests.length;
      using wire = await openWire(gateway.url, bytes);
      const [first] = await wire.answers(1);
      await wire.write(NEXT);
      const answers = await wire.answers(2);
      const ids = engine.requests.slice(from).map(clientIdOf);
      if (first?.status === 200) {
        expect([answers.length, answers[1]?.status, ids.length, ids[1]]).toEqual([2, 200, 2, "next"]);
      } else expect([answers.length, wire.isClosed, ids.length]).toEqual([1, true, 0]);
    });
  }

  test("row 70: a body of a GET is not the next request", async () => {
    const bytes = request([LENGTH], SMUGGLED, "GET /health HTTP/1.1") + head("GET /liveness", []);
    const answers = await unseenBy(engine, () => exchange(gateway.url, bytes, 2));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });

  test("row 70: nor is a body that was refused before it was read", async () => {
    const bytes = request([LENGTH]).replace("application/json", "text/plain") + head("GET /liveness", []);
    const answers = await unseenBy(engine, () => exchange(gateway.url, bytes, 2));
    expect(answers.map(({ status }) => status).slice(0, 2)).toEqual([415, 200]);
  });

  function plain(): string {
    return JSON.stringify(chat("m"));
  }
});

describe("Host", () => {
  const body = JSON.stringify(chat("m"));
  const hosts: readonly (readonly string[])[] = [
    [],
    ["a", "b"],
    ["a", "a"],
    ["a/health?x"],
    ["a?x"],
    ["a#x"],
    ["user@a"],
    ["a b"],
    ["a\\b"],
    [""],
    ["a:port"],
  ];
  for (const route of [`POST ${CHAT}`, "GET /workers", "GET /health"]) {
    test(`row 71: none, two or one that is no host name is refused at ${route}`, async () => {
      for (const names of hosts) {
        const fields = [...names.map((name) => `host: ${name}`), "content-type: application/json"];
        const bytes = `${route} HTTP/1.1\r\n${fields.join("\r\n")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
        const [answer] = await unseenBy(engine, () => exchange(gateway.url, bytes));
        expect([names, answer?.status]).toEqual([names, 400]);
      }
      observe(71, `${hosts.length} forms of Host: 400`);
    });
  }
  test("row 71: names, addresses and ports are taken", async () => {
    for (const name of ["gateway", "gateway:80", "127.0.0.1:30000", "[::1]:30000", "a-b.example.com"]) {
      const [answer] = await exchange(gateway.url, `GET /health HTTP/1.1\r\nhost: ${name}\r\n\r\n`);
      expect([name, answer?.status]).toEqual([name, 200]);
    }
  });
});

test("row 73: headers of 100 kB, or 300 of them: 431 and closed", async () => {
  const many = Array.from({ length: 300 }, (_, index) => `x-${index}: a`);
  for (const fields of [
    [`x-a: ${"a".repeat(100_000)}`],
    many,
    Array.from({ length: 20 }, () => `x-a: ${"a".repeat(5000)}`),
  ]) {
    using wire = await openWire(gateway.url, jsonPost(CHAT, chat("m"), fields) + NEXT);
    const answers = await unseenBy(engine, () => wire.answers(2));
    expect([answers.map(({ status }) => status), wire.isClosed]).toEqual([[431], true]);
  }
  observe(73, "431, closed, no worker asked");
});

test("row 73: and an error as JSON with it", async () => {
  const [answer] = await exchange(gateway.url, head("GET /health", [`x-a: ${"a".repeat(100_000)}`]));
  observe(73, `\`${openaiError(answer?.body ?? "{}").code}\``);
  expect(openaiError(answer?.body ?? "{}").type).toBe("invalid_request_error");
});

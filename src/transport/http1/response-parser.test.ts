import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GatewayError } from "../../errors/errors.ts";
import { type BodyFramer, bytesOf } from "./body-framer.ts";
import { ResponseParser } from "./response-parser.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

interface Parsed {
  readonly parser: ResponseParser;
  readonly body: string;
  /** The answer is whole. */
  readonly isDone: boolean;
  /** Another request may follow on its connection. */
  readonly keepAlive: boolean;
}

/** Feeds the pieces. */
function parse(pieces: readonly string[], method = "POST"): Parsed {
  const parser = new ResponseParser(method);
  let framer: BodyFramer | undefined;
  let body = "";
  for (const piece of pieces) {
    if (framer) framer.push(bytes(piece));
    else framer = parser.push(bytes(piece));
    if (framer) body += bytesOf(framer).toString("latin1");
  }
  return {
    parser,
    body,
    isDone: framer?.isDone === true,
    keepAlive: parser.keepAlive && framer?.rest.length === 0,
  };
}

function refusal(text: string): unknown {
  try {
    parse([text]);
  } catch (error) {
    return error instanceof GatewayError ? error.code : error;
  }
  return undefined;
}

const CHUNKED =
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\n\r\n";

describe("an answer", () => {
  test("with a length is whole when its bytes are there, and the connection can go on", () => {
    const { parser, body, isDone, keepAlive } = parse(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]);
    expect([parser.status, body, isDone, keepAlive]).toEqual([200, "hello", true, true]);
  });

  test("in chunks comes out without their frames", () => {
    const { body, isDone, keepAlive } = parse([CHUNKED]);
    expect([body, isDone, keepAlive]).toEqual(["hello, world", true, true]);
  });

  test("gives the same body however it was cut on its way", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: CHUNKED.length }), { maxLength: 12 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), CHUNKED.length];
        const pieces = at.slice(1).map((end, index) => CHUNKED.slice(at[index], end));
        const { parser, body, isDone } = parse(pieces);
        expect([body, isDone, parser.status]).toEqual(["hello, world", true, 200]);
      }),
    );
  });

  test("without a length lasts until the connection ends", () => {
    const { parser, body, isDone } = parse(["HTTP/1.1 200 OK\r\n\r\nabc", "def"]);
    expect([body, isDone]).toEqual(["abcdef", false]);
    expect(parser.end()).toBe(true);
  });

  test("cut before its end is not whole", () => {
    expect(parse(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"]).parser.end()).toBe(false);
    expect(parse([CHUNKED.slice(0, -5)]).parser.end()).toBe(false);
  });

  test("followed by bytes that nobody asked for forbids another request on the connection", () => {
    expect(parse(["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200"]).keepAlive).toBe(false);
    expect(parse([`${CHUNKED}x`]).keepAlive).toBe(false);
  });

  test("to HEAD, and with status 204, has no body", () => {
    expect(parse(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], "HEAD").isDone).toBe(true);
    expect(parse(["HTTP/1.1 204 No Content\r\n\r\n"]).isDone).toBe(true);
  });

  test("may be preceded by informational ones, though not without end", () => {
    const info = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    expect(parse([info + info + CHUNKED]).body).toBe("hello, world");
    expect(refusal(info.repeat(33) + CHUNKED)).toBe("upstream_protocol_error");
  });

  test("to 204 and 304 ends with its head, and where that tells of a body the connection ends too", () => {
    const cases: [head: string, keepAlive: boolean][] = [
      ["204 No Content\r\n", true],
      ["204 No Content\r\ncontent-length: 0\r\n", true],
      ["204 No Content\r\ncontent-length: 5\r\n", false],
      ["204 No Content\r\ntransfer-encoding: chunked\r\n", false],
      ["304 Not Modified\r\ncontent-length: 5\r\n", false],
    ];
    for (const [head, keepAlive] of cases) {
      const parsed = parse([`HTTP/1.1 ${head}\r\n`]);
      expect([head, parsed.isDone, parsed.keepAlive]).toEqual([head, true, keepAlive]);
    }
  });

  test("of HTTP/1.0 in chunks ends its connection, whatever it says", () => {
    const { body, isDone, keepAlive } = parse([
      "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ]);
    expect([body, isDone, keepAlive]).toEqual(["ok", true, false]);
  });

  test("may tell its length twice where that is the same", () => {
    const twice = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok";
    const { body, isDone, keepAlive } = parse([twice]);
    expect([body, isDone, keepAlive]).toEqual(["ok", true, true]);
  });

  test("may have chunk sizes with zeros before them and spaces behind them", () => {
    const { body, isDone } = parse([
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${"0".repeat(15)}2\r\nok\r\n3  \r\n, b\r\n2\t;x=1\r\nut\r\n0 \r\n\r\n`,
    ]);
    expect([body, isDone]).toEqual(["ok, but", true]);
  });

  test("whose lines all end in a line feed alone is read, however it was cut on its way", () => {
    const text = "HTTP/1.1 103 Early Hints\nlink: x\n\nHTTP/1.1 200 OK\nX-A: 1\ncontent-length: 5\n\nhello";
    for (const pieces of [[text], text.split("")]) {
      const { parser, body, isDone, keepAlive } = parse(pieces);
      expect([parser.status, parser.headers.get("x-a"), body, isDone, keepAlive]).toEqual([
        200,
        "1",
        "hello",
        true,
        true,
      ]);
    }
  });

  test("that says close, or is HTTP/1.0, ends its connection", () => {
    expect(parse(["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"]).keepAlive).toBe(false);
    expect(parse(["HTTP/1.1 200 OK\r\nconnection: TE, Close\r\ncontent-length: 0\r\n\r\n"]).keepAlive).toBe(false);
    expect(parse(["HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"]).keepAlive).toBe(false);
    expect(parse(["HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n"]).keepAlive).toBe(true);
  });

  test("keeps header names in lower case and joins what came twice", () => {
    const { parser } = parse(["HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:2\r\ncontent-length: 0\r\n\r\n"]);
    expect(parser.headers.get("x-a")).toBe("1, 2");
  });
});

describe("refused is", () => {
  const cases: Record<string, string> = {
    "half a status line": "HTTP/1.1 2\r\n\r\n",
    "something that is not HTTP": "SSH-2.0-OpenSSH\r\n\r\n",
    "a length and chunks at once": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths that differ": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length with a sign": "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "an unknown transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "a chunk size that is no number": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    "a chunk size with a prefix": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
    "a chunk line ended by a line feed alone": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n",
    "a chunk longer than its size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
    "a folded header": "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\r\n",
    "a carriage return in a value": "HTTP/1.1 200 OK\r\nX-A: b\rX-Evil: 1\r\n\r\n",
    "a space before the colon": "HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n",
    "an empty header name": "HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
    "an upgrade nobody asked for": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a chunk size with a letter behind a space":
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 x\r\nhello\r\n",
    "a chunk size with more digits than can be counted": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1${"0".repeat(12)}\r\n`,
    "a length that is none, twice": "HTTP/1.1 200 OK\r\nContent-Length: +5\r\nContent-Length: +5\r\n\r\n",
    "a status without body, with a length and chunks":
      "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an informational answer with a bad field": "HTTP/1.1 103 Early Hints\r\nx y: 1\r\n\r\n",
    "an informational answer with a length": "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
    "a line feed alone after lines that end otherwise, before the end of the head": "HTTP/1.1 200 OK\r\nX-A: 1\n",
    "a line that ends otherwise after a line feed alone": "HTTP/1.1 200 OK\nX-A: 1\r\n",
    "the same, in a head that is whole": "HTTP/1.1 200 OK\nX-A: 1\r\ncontent-length: 0\n\n",
    "a line feed alone in a head that is whole": "HTTP/1.1 200 OK\r\nX-A: 1\nX-Evil: 1\r\n\r\n",
    "a beginning that is not HTTP, before the end of its line": "\x15\x03\x03\x00\x02\x02\x46",
    "an empty line before the answer": "\r\nHTTP/1.1 200 OK\r\n",
    "a head of 20 kB": `HTTP/1.1 200 OK\r\nx-a: ${"a".repeat(20_000)}\r\n\r\n`,
    "a head that never ends": `HTTP/1.1 200 OK\r\n${"x-a: 1\r\n".repeat(3000)}`,
  };
  for (const [name, text] of Object.entries(cases)) {
    test(name, () => expect(refusal(text)).toBe("upstream_protocol_error"));
  }
});

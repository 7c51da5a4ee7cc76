import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GatewayError } from "../../errors/errors.ts";
import { readRequestHead, type RequestHead } from "./request-head.ts";

/** The lines of a head without its blank line. */
function read(...lines: readonly string[]): RequestHead {
  return readRequestHead(lines.join("\r\n"));
}

/** A request line and a Host, with what is looked at behind them. */
function get(...fields: readonly string[]): RequestHead {
  return read("GET / HTTP/1.1", "Host: gateway", ...fields);
}

function refusal(...lines: readonly string[]): string | undefined {
  try {
    read(...lines);
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
  return undefined;
}

function many(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `x-${index}: ${index}`);
}

describe("the request line", () => {
  test("gives the method and what stands before and behind the first question mark, as they came", () => {
    const targets: readonly [target: string, path: string, query: string][] = [
      ["/", "/", ""],
      ["/v1/models", "/v1/models", ""],
      ["/a?b=c&d", "/a", "b=c&d"],
      ["/a?b?c", "/a", "b?c"],
      ["/a?", "/a", ""],
      ["//a/../b%2F;x", "//a/../b%2F;x", ""],
      ["/%00%zz", "/%00%zz", ""],
    ];
    for (const [target, path, query] of targets) {
      const head = read(`DELETE ${target} HTTP/1.1`, "host: gateway");
      expect([head.method, head.path, head.query]).toEqual(["DELETE", path, query]);
    }
  });

  const bad: Record<string, string> = {
    "that is empty": "",
    "without a version": "GET /",
    "of HTTP/0.9 with a space": "GET / ",
    "with a method in lower case": "get / HTTP/1.1",
    "with a method of 25 letters": `${"A".repeat(25)} / HTTP/1.1`,
    "with two spaces": "GET  / HTTP/1.1",
    "with a tab": "GET\t/ HTTP/1.1",
    "with a space in its target": "GET /a b HTTP/1.1",
    "with a space behind it": "GET / HTTP/1.1 ",
    "with a space before it": " GET / HTTP/1.1",
    "with a protocol in lower case": "GET / http/1.1",
    "with a version of more digits": "GET / HTTP/1.10",
    "with another protocol": "GET / RTSP/1.0",
    "with a NUL in its target": "GET /\0 HTTP/1.1",
    "with a line feed in its target": "GET /\nx HTTP/1.1",
    "with a carriage return in its target": "GET /\rx HTTP/1.1",
    "with a target beyond ASCII": "GET /caf\u00e9 HTTP/1.1",
    "with a DEL in its target": "GET /\u007f HTTP/1.1",
    "with a target that is no path": "GET a HTTP/1.1",
    "with a star": "OPTIONS * HTTP/1.1",
    "with a place to tunnel to": "CONNECT gateway:443 HTTP/1.1",
    "with a path to tunnel to": "CONNECT / HTTP/1.1",
    "with the method that begins HTTP/2": "PRI / HTTP/1.1",
    "with another scheme": "GET file://gateway/ HTTP/1.1",
    "with a scheme alone": "GET http:/gateway/ HTTP/1.1",
    "with a fragment in its URL": "GET http://gateway/a#b HTTP/1.1",
  };
  for (const [name, line] of Object.entries(bad)) {
    test(`${name} is refused`, () => expect(refusal(line, "host: gateway")).toBe("malformed_request"));
  }

  test("may have a whole URL of the host that is named beside it", () => {
    const targets: readonly [target: string, host: string, path: string, query: string][] = [
      ["http://gateway/v1/models", "gateway", "/v1/models", ""],
      ["HTTP://GATEWAY/a?b=http://c/d", "gateway", "/a", "b=http://c/d"],
      ["https://gateway", "Gateway", "/", ""],
      ["http://gateway?x", "gateway", "/", "x"],
      ["http://gateway:80/a", "gateway", "/a", ""],
      ["https://gateway/a", "gateway:443", "/a", ""],
      ["http://[::1]:8000//a", "[::1]:8000", "//a", ""],
    ];
    for (const [target, host, path, query] of targets) {
      const head = read(`GET ${target} HTTP/1.1`, `host: ${host}`);
      expect([target, head.path, head.query]).toEqual([target, path, query]);
    }
    expect(read("GET http://gateway/a HTTP/1.0").path).toBe("/a");
  });

  const otherHosts: Record<string, string> = {
    "of another host": "http://other/",
    "of another port": "http://gateway:8080/",
    "of the port of another scheme": "http://gateway:443/",
    "with a user": "http://user@gateway/",
    "of a host that is none": "http://gate way/",
    "without a host": "http:///a",
  };
  for (const [name, target] of Object.entries(otherHosts)) {
    test(`with a URL ${name} is refused`, () => {
      expect(refusal(`GET ${target} HTTP/1.1`, "host: gateway")).toBe(
        name === "of a host that is none" ? "malformed_request" : "bad_host",
      );
    });
  }

  test("with a URL still needs a Host on HTTP/1.1", () => {
    expect(refusal("GET http://gateway/ HTTP/1.1")).toBe("bad_host");
    expect(refusal("GET http://a/b/ HTTP/1.0", "host: a/b")).toBe("bad_host");
  });

  test("of any other version is told that it is the version", () => {
    for (const version of ["2.0", "0.9", "1.2", "3.0"]) {
      expect(refusal(`GET / HTTP/${version}`, "host: gateway")).toBe("unsupported_http_version");
    }
    expect(refusal("PRI * HTTP/2.0")).toBe("unsupported_http_version");
  });
});

describe("the host", () => {
  for (const host of ["gateway", "a.b-c_d.example:8000", "127.0.0.1", "[::1]", "[fe80::1]:65535", "GATEWAY"]) {
    test(`may be ${host}`, () => expect(refusal("GET / HTTP/1.1", `Host: ${host}`)).toBeUndefined());
  }

  const bad: Record<string, readonly string[]> = {
    missing: [],
    empty: ["Host:"],
    "of two words": ["Host: a b"],
    "with a path": ["Host: gateway/admin"],
    "with a query": ["Host: gateway?x"],
    "with a fragment": ["Host: gateway#x"],
    "with a user": ["Host: user@gateway"],
    "with a port of six digits": ["Host: gateway:123456"],
    "with a port that is empty": ["Host: gateway:"],
    "with a port that is a word": ["Host: gateway:http"],
    "with half a bracket": ["Host: [::1"],
    "with an encoded slash": ["Host: gateway%2f"],
    "beyond ASCII": ["Host: caf\u00e9"],
    "said twice": ["Host: gateway", "host: gateway"],
    "said twice and different": ["Host: gateway", "Host: other"],
    "said twice in one line": ["Host: gateway, gateway"],
  };
  for (const [name, lines] of Object.entries(bad)) {
    test(`${name} is refused`, () => expect(refusal("GET / HTTP/1.1", ...lines)).toBe("bad_host"));
  }
});

describe("fields", () => {
  test("are kept with their names in lower case, without the space around their values", () => {
    const { headers } = get("X-A:1", "x-b: \t two  words\t ", "X-C:", "x-d: caf\u00e9", "x-e: a\tb");
    expect(headers.entries()).toEqual([
      ["host", "gateway"],
      ["x-a", "1"],
      ["x-b", "two  words"],
      ["x-c", ""],
      ["x-d", "caf\u00e9"],
      ["x-e", "a\tb"],
    ]);
  });

  test("that come twice are joined", () => {
    expect(get("Accept: a", "x-b: 1", "ACCEPT: b").headers.get("accept")).toBe("a, b");
  });

  test("are without a Host on HTTP/1.0 alone, which did not have it", () => {
    expect(readRequestHead("OPTIONS / HTTP/1.0").path).toBe("/");
    expect(() => readRequestHead("OPTIONS / HTTP/1.1")).toThrow("Host");
    expect(() => readRequestHead("OPTIONS / HTTP/1.0\r\nhost: a/b")).toThrow("Host");
  });

  test("with names that mean something to an object are only names", () => {
    const { headers } = get("__proto__: 1", "constructor: 2");
    expect([headers.get("__proto__"), headers.get("constructor"), headers.get("toString")]).toEqual(["1", "2", null]);
  });

  test("may be 200, and no more", () => {
    expect(refusal("GET / HTTP/1.1", "host: gateway", ...many(199))).toBeUndefined();
    expect(refusal("GET / HTTP/1.1", "host: gateway", ...many(200))).toBe("headers_too_large");
  });

  const bad: Record<string, string> = {
    "that are folded": "x-a: 1\r\n 2",
    "that are folded with a tab": "x-a: 1\r\n\t2",
    "without a colon": "x-a",
    "without a name": ": 1",
    "with a space before the colon": "x-a : 1",
    "with a space before the name": " x-a: 1",
    "with a slash in their name": "x/a: 1",
    "with a name beyond ASCII": "x-\u00e9: 1",
    "with a NUL in their name": "x\0a: 1",
    "with a NUL in their value": "x-a: a\0b",
    "with a carriage return in their value": "x-a: a\rx-b: 1",
    "with a line feed in their value": "x-a: a\nx-b: 1",
    "with an escape in their value": "x-a: \u001b[31m",
    "with a DEL in their value": "x-a: a\u007fb",
    "with a carriage return behind their value": "x-a: a\r",
    "with a line feed behind their value": "x-a: a\n",
    "with a vertical tab before their value": "x-a: \u000ba",
    "with a form feed behind their value": "x-a: a\u000c",
  };
  for (const [name, line] of Object.entries(bad)) {
    test(`${name} are refused`, () =>
      expect(refusal("GET / HTTP/1.1", "host: gateway", line)).toBe("malformed_request"));
  }

  test("with any control character anywhere in their value are refused", () => {
    const control = fc.integer({ min: 0, max: 32 }).map((code) => String.fromCharCode(code === 32 ? 127 : code));
    fc.assert(
      fc.property(
        control.filter((one) => one !== "\t"),
        fc.constantFrom("", "a", " ", "a "),
        fc.constantFrom("", "b", " ", " b"),
        (one, before, after) => {
          const code = refusal("GET / HTTP/1.1", "host: gateway", `x-a: ${before}${one}${after}`);
          expect(code).toBe("malformed_request");
        },
      ),
    );
  });
});

describe("the body", () => {
  test("is announced by a length that is not 0, or by chunks", () => {
    const heads: readonly [field: string, hasBody: boolean, missing: number][] = [
      ["x-none: 1", false, Number.POSITIVE_INFINITY],
      ["content-length: 0", false, Number.POSITIVE_INFINITY],
      ["Content-Length: 5", true, 5],
      ["content-length: 0005", true, 5],
      ["content-length: \t5 ", true, 5],
      ["content-length: 999999999999999", true, 999_999_999_999_999],
      ["Transfer-Encoding: Chunked", true, Number.POSITIVE_INFINITY],
    ];
    for (const [field, hasBody, missing] of heads) {
      const head = get(field);
      expect([field, head.hasBody, head.framer.missing]).toEqual([field, hasBody, missing]);
    }
  });

  const bad: Record<string, readonly string[]> = {
    "a length and chunks at once": ["content-length: 5", "transfer-encoding: chunked"],
    "no length and chunks at once": ["transfer-encoding: chunked", "content-length: 0"],
    "two lengths that differ": ["content-length: 5", "content-length: 6"],
    "two lengths that agree": ["content-length: 5", "content-length: 5"],
    "two lengths in one line": ["content-length: 5, 5"],
    "an empty length": ["content-length:"],
    "a length with a sign": ["content-length: +5"],
    "a length below 0": ["content-length: -5"],
    "a length in hexadecimal": ["content-length: 0x5"],
    "a length with a point": ["content-length: 5.0"],
    "a length of two numbers": ["content-length: 5 5"],
    "a length of 16 digits": ["content-length: 1000000000000000"],
    "a length with a no-break space": ["content-length: 5\u00a0"],
    "a length with a vertical tab": ["content-length: \u000b5"],
    "a length with a line feed": ["content-length: 5\n"],
    "chunks said twice": ["transfer-encoding: chunked", "transfer-encoding: chunked"],
    "chunks within another coding": ["transfer-encoding: gzip, chunked"],
    "a coding that is not chunks": ["transfer-encoding: identity"],
    "an empty coding": ["transfer-encoding:"],
    "quoted chunks": ['transfer-encoding: "chunked"'],
    "chunks with a vertical tab": ["transfer-encoding: \u000bchunked"],
    "chunks with a no-break space": ["transfer-encoding: chunked\u00a0"],
    "chunks with a carriage return": ["transfer-encoding: chunked\r"],
  };
  for (const [name, fields] of Object.entries(bad)) {
    test(`with ${name} is refused`, () =>
      expect(refusal("POST / HTTP/1.1", "host: gateway", ...fields)).toBe("malformed_request"));
  }

  test("in chunks is refused from HTTP/1.0, which does not know them", () => {
    expect(refusal("POST / HTTP/1.0", "host: gateway", "transfer-encoding: chunked")).toBe("malformed_request");
  });
});

describe("another request may follow", () => {
  const cases: readonly [version: string, connection: string | undefined, keepAlive: boolean][] = [
    ["1.1", undefined, true],
    ["1.1", "keep-alive", true],
    ["1.1", "close", false],
    ["1.1", "CLOSE", false],
    ["1.1", "TE, close", false],
    ["1.1", "keep-alive,close ", false],
    ["1.1", "closed", true],
    ["1.1", "", true],
    ["1.0", undefined, false],
    ["1.0", "keep-alive", true],
    ["1.0", "Keep-Alive", true],
    ["1.0", "TE, keep-alive", true],
    ["1.0", "close", false],
  ];
  for (const [version, connection, keepAlive] of cases) {
    const fields = connection === undefined ? [] : [`Connection: ${connection}`];
    test(`on HTTP/${version} with ${connection ?? "nothing"} said of the connection: ${keepAlive}`, () => {
      const head = read(`GET / HTTP/${version}`, "host: gateway", ...fields);
      expect([head.keepAlive, head.isHttp11]).toEqual([keepAlive, version === "1.1"]);
    });
  }

  test("not on HTTP/1.0 with both said of the connection", () => {
    expect(read("GET / HTTP/1.0", "host: gateway", "connection: keep-alive, close").keepAlive).toBe(false);
  });

  test("not after one that says close in the second of two lines", () => {
    expect(get("connection: keep-alive", "connection: close").keepAlive).toBe(false);
  });
});

test("leave to send the body is waited for where the client says so, and HTTP/1.0 cannot", () => {
  const waits = (version: string, expectation: string): boolean =>
    read(`POST / HTTP/${version}`, "host: gateway", "content-length: 5", expectation).expectsContinue;
  expect(waits("1.1", "Expect: 100-continue")).toBe(true);
  expect(waits("1.1", "expect: 100-Continue")).toBe(true);
  expect(waits("1.1", "expect: 200-ok")).toBe(false);
  expect(waits("1.1", "x-expect: 100-continue")).toBe(false);
  expect(waits("1.0", "expect: 100-continue")).toBe(false);
});

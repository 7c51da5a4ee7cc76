import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { expectSameProcessServes, observe, openaiError, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";
import { exchange, jsonPost } from "./wire.ts";

const CHAT = "/v1/chat/completions";
/** A route of each shape of error. */
const ROUTES = [CHAT, "/v1/messages", "/generate"] as const;

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

describe("JSON that is deep", () => {
  const nested = (depth: number, open: string, close: string): string =>
    `{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":${open.repeat(depth)}1${close.repeat(depth)}}`;
  const cases: readonly [name: string, body: string][] = [
    ["100,000 lists", nested(100_000, "[", "]")],
    ["100,000 objects", nested(100_000, '{"a":', "}")],
    ["100,000 lists that are never closed", nested(100_000, "[", "")],
    ["a little more than 128 lists", nested(135, "[", "]")],
  ];
  for (const [name, body] of cases) {
    test(`row 61: ${name} are refused within 20 ms`, async () => {
      const times: number[] = [];
      await unseenBy(engine, async () => {
        for (let round = 0; round < 5; round += 1) {
          const from = performance.now();
          const response = await post(gateway.url + CHAT, body);
          times.push(performance.now() - from);
          expect([response.status, openaiError(await response.text()).code]).toEqual([400, "invalid_json"]);
        }
      });
      expect(Math.min(...times)).toBeLessThan(20);
      observe(61, `${name}: 400 in ${Math.min(...times).toFixed(1)} ms`);
    });
  }

  test("row 61: a hundred levels are nothing out of the way", async () => {
    expect((await post(gateway.url + CHAT, nested(100, "[", "]"))).status).toBe(200);
  });
});

const MESSAGES = '"messages":[{"role":"user","content":"x"}],"max_tokens":4';

/** Expects each route to refuse the body in its own shape, and no worker to hear of it. */
async function expectRefused(body: string | Uint8Array, code: string, at: FaultGateway = gateway): Promise<void> {
  await unseenBy(engine, async () => {
    for (const route of ROUTES) {
      const response = await post(at.url + route, body);
      const { type, error } = (await response.json()) as { type?: string; error: Record<string, unknown> };
      expect([route, response.status, type]).toEqual([route, 400, route === "/v1/messages" ? "error" : undefined]);
      expect(error).toMatchObject({ type: "invalid_request_error", code, message: expect.any(String) });
    }
  });
}

describe("bodies that are not the JSON they should be", () => {
  const utf16 = Buffer.from(`\ufeff{"model":"m",${MESSAGES}}`, "utf16le");
  const cases: readonly [name: string, body: string | Uint8Array, code: string][] = [
    ["nothing", "", "invalid_json"],
    ["spaces", "   ", "invalid_json"],
    ["cut JSON", `{"model":"m",${MESSAGES}`, "invalid_json"],
    ["null", "null", "invalid_body"],
    ["a list", "[]", "invalid_body"],
    ["a string", '"model"', "invalid_body"],
    ["a number", "7", "invalid_body"],
    ["trailing bytes", `{"model":"m",${MESSAGES}}x`, "invalid_json"],
    ["two objects", `{"model":"m",${MESSAGES}}{"model":"m"}`, "invalid_json"],
    ["a NUL behind it", `{"model":"m",${MESSAGES}}\0`, "invalid_json"],
    ["a byte order mark", `\ufeff{"model":"m",${MESSAGES}}`, "invalid_json"],
    ["UTF-16", utf16, "invalid_json"],
    ["NaN", `{"model":"m",${MESSAGES},"temperature":NaN}`, "invalid_json"],
    ["Infinity", `{"model":"m",${MESSAGES},"temperature":-Infinity}`, "invalid_json"],
    ["a number that no double holds", `{"model":"m",${MESSAGES},"temperature":1e999}`, "invalid_json"],
    ["a comment", `{"model":"m",${MESSAGES} /* */}`, "invalid_json"],
    ["a trailing comma", `{"model":"m",${MESSAGES},}`, "invalid_json"],
    ["single quotes", "{'model':'m'}", "invalid_json"],
    ["a line break within a string", '{"model":"m\n"}', "invalid_json"],
  ];
  for (const [name, body, code] of cases) {
    test(`row 62: ${name} is refused on every route, and no worker hears of it`, async () => {
      await expectRefused(body, code);
      observe(62, "400 `invalid_json` or `invalid_body`");
    });
  }

  test("row 62: neither a gateway for many models nor a policy that passes all on sends them to a worker", async () => {
    for (const flags of [["--enable-igw"], ["--policy", "passthrough"], ["--threads", "2"]]) {
      await using other = await startFaultGateway(flags);
      await using _served = await other.serve("m", [engine.url]);
      for (const [, body, code] of cases) await expectRefused(body, code, other);
    }
    observe(62, `${cases.length} bodies, 3 routes, 4 modes: no worker asked`);
  });

  const bytes = (before: string, middle: readonly number[], after: string): Buffer =>
    Buffer.concat([Buffer.from(before), Buffer.from(middle), Buffer.from(after)]);
  const inText = (middle: readonly number[]): Buffer =>
    bytes('{"model":"m","messages":[{"role":"user","content":"', middle, '"}]}');
  const encodings: readonly [name: string, body: string | Uint8Array][] = [
    ["a byte 0xff", inText([0xff])],
    ["a sequence that is cut", inText([0xe2, 0x82])],
    ["an overlong NUL", inText([0xc0, 0x80])],
    ["a surrogate as three bytes", inText([0xed, 0xa0, 0x80])],
    ["a code point beyond the last", inText([0xf4, 0x90, 0x80, 0x80])],
    ["an escaped high surrogate alone", inText([...Buffer.from(String.raw`\ud83d`)])],
    ["an escaped low surrogate alone", inText([...Buffer.from(String.raw`\ude00`)])],
    ["an escaped pair in the wrong order", inText([...Buffer.from(String.raw`\ude00\ud83d`)])],
    ["a lone surrogate in a key", String.raw`{"model":"m","\ud800":1,"messages":[{"role":"user","content":"x"}]}`],
  ];
  for (const [name, body] of encodings) {
    test(`row 64: ${name} is refused`, async () => {
      await expectRefused(body, "invalid_json");
      observe(64, "400 `invalid_json`");
    });
  }

  test("row 64: what only looks like a lone surrogate passes", async () => {
    const text = Buffer.from(String.raw`\ud83d\ude00 \\ud800 `);
    const pair = inText([...text, ...Buffer.from("😀")]);
    expect((await post(gateway.url + CHAT, pair)).status).toBe(200);
    expect(engine.requests.at(-1)?.body).toBe(pair.toString());
  });

  const duplicates: readonly [name: string, body: string][] = [
    ["model", `{"model":"m",${MESSAGES},"model":"other"}`],
    [
      "model, one of them escaped",
      String.raw`{"model":"m","messages":[{"role":"user","content":"x"}],"mod\u0065l":"m"}`,
    ],
    ["stream", `{"model":"m","stream":false,${MESSAGES},"stream":true}`],
    ["messages", `{"model":"m",${MESSAGES},${MESSAGES}}`],
  ];
  for (const [name, body] of duplicates) {
    test(`row 63: the key ${name} twice is refused, so that nobody reads another one than we did`, async () => {
      await expectRefused(body, "invalid_json");
      observe(63, "400 `invalid_json`");
    });
  }

  test("row 63: the same key in two objects is no duplicate", async () => {
    const body = `{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}],"metadata":{"model":"x"}}`;
    expect((await post(gateway.url + CHAT, body)).status).toBe(200);
  });
});

test("rows 65, 66: numbers and unknown fields reach the worker as they were written, in their order", async () => {
  const body = `{"zeta":{"b":1,"a":[1e2,-0.0,1E+2]},"seed":9007199254740993,"temperature":0.1000000000000000055511151231257827,
    "model":"m", "frobnicate":[null,{"x":12345678901234567890}],"messages":[{"role":"user","content":"caf\\u00e9"}],"alpha":1.0}`;
  expect((await post(gateway.url + CHAT, body)).status).toBe(200);
  expect(engine.requests.at(-1)?.body).toBe(body);
  for (const row of [65, 66]) observe(row, "200, the worker has the same bytes");
});

describe("names that JavaScript objects have already", () => {
  const PROTO = "__proto__";
  const cases: readonly [name: string, body: string][] = [
    ["__proto__", `{"model":"m",${MESSAGES},"${PROTO}":{"stream":true,"admin":true}}`],
    [
      "__proto__, escaped",
      String.raw`{"model":"m","messages":[{"role":"user","content":"x"}],"\u005f_proto__":{"stream":true}}`,
    ],
    ["constructor.prototype", `{"model":"m",${MESSAGES},"constructor":{"prototype":{"stream":true,"admin":true}}}`],
    ["__proto__ in metadata", `{"model":"m",${MESSAGES},"metadata":{"${PROTO}":{"stream":true,"param":"x"}}}`],
    ["__proto__ in a message", `{"model":"m","messages":[{"role":"user","content":"x","${PROTO}":{"role":"system"}}]}`],
    ["toString and hasOwnProperty", `{"model":"m",${MESSAGES},"toString":1,"hasOwnProperty":2,"valueOf":3}`],
  ];
  for (const [name, body] of cases) {
    test(`row 67: ${name} in a body is refused or passed on as it is, and changes nothing`, async () => {
      const before = engine.requests.length;
      const response = await post(`${gateway.url}${CHAT}?${PROTO}[stream]=true&constructor=1`, body, {
        constructor: "1",
        [["x", PROTO].join("-")]: "1",
      });
      if (response.status !== 400) {
        expect([response.status, engine.requests.at(-1)?.body]).toEqual([200, body]);
      } else expect(engine.requests.length).toBe(before);
      observe(67, `${name}: ${response.status}`);
      await expectUnpolluted();
    });
  }

  test("row 67: the key __proto__ is refused however it is written", async () => {
    for (const key of [PROTO, String.raw`\u005f_proto__`, String.raw`__\u0070roto__`]) {
      for (const member of [`"${key}":{}`, `"metadata":{"a":[{"${key}"${" ".repeat(100)}:1}]}`]) {
        await expectRefused(`{"model":"m",${MESSAGES},${member}}`, "forbidden_key");
      }
    }
  });

  test("row 67: a header named __proto__ is a header like others", async () => {
    const [answer] = await exchange(gateway.url, jsonPost(CHAT, chat("m"), [`${PROTO}: stream`]));
    expect(answer?.status).toBe(200);
    await expectUnpolluted();
  });

  test("row 67: labels of a worker named so do not reach into other objects", async () => {
    await using other = await startEngine({ model: "m67" });
    const added = await post(
      `${gateway.url}/workers?wait=true`,
      `{"url":"${other.url}","labels":{"${PROTO}":"x","constructor":"y","zone":"z"}}`,
    );
    const { id } = (await added.json()) as { id?: string };
    if (added.status !== 400) await fetch(`${gateway.url}/workers/${id}`, { method: "DELETE" });
    expect([201, 400]).toContain(added.status);
    await expectUnpolluted();
  });

  /** A plain request is answered whole, an error has its keys, and a worker shows no field it was not given. */
  async function expectUnpolluted(): Promise<void> {
    const plain = await post(gateway.url + CHAT, chat("m"));
    expect([plain.status, plain.headers.get("content-type")?.split(";")[0]]).toEqual([200, "application/json"]);
    expect(JSON.parse(engine.requests.at(-1)?.body ?? "")).toEqual(chat("m"));
    const missing = await post(gateway.url + CHAT, chat("nobody"));
    expect(openaiError(await missing.text()).code).toBe("model_not_found");
    expect(await (await fetch(`${gateway.url}/workers`)).text()).not.toContain('"admin"');
  }
});

describe("names of models that nobody serves", () => {
  const names: readonly [name: string, model: string][] = [
    ["in other scripts", "模型-مدل-🤖"],
    ["with a NUL", "m\0"],
    ["with line breaks", "m\r\nx-evil: 1\r\n\r\n{"],
    ["of 10 kB", "m".repeat(10_000)],
    ["that are paths", "../../../../etc/passwd"],
    ["with a terminal's escapes", "\u001b[31mm\u001b]0;x\u0007"],
    ["with a line separator", "m\u2028x"],
    ["constructor", "constructor"],
    ["__proto__", "__proto__"],
    ["toString", "toString"],
    ["hasOwnProperty", "hasOwnProperty"],
    ["of a file", "file:///etc/passwd"],
    ["with spaces around one that is served", " m "],
  ];
  for (const [name, model] of names) {
    test(`row 68: ${name}: 404, and neither message nor log is more than it should be`, async () => {
      const requestId = `row-68-${Bun.hash(model).toString(36)}`;
      const response = await unseenBy(engine, () =>
        post(gateway.url + CHAT, chat(model), { "x-request-id": requestId }),
      );
      const text = await response.text();
      const error = openaiError(text);
      expect([response.status, error.type, error.code]).toEqual([404, "invalid_request_error", "model_not_found"]);
      expect(error.message.length).toBeLessThanOrEqual(300);
      // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
      expect(error.message).not.toMatch(/[\u0000-\u001f\u007f]/);
      expect([response.headers.get("x-evil"), text.includes("root:")]).toEqual([null, false]);
      expect((await gateway.accessLine(requestId))["status"]).toBe(404);
      const encoded = await fetch(`${gateway.url}/v1/models/${encodeURIComponent(model)}`);
      expect(encoded.status).toBeOneOf([404, 431]);
      observe(68, "404 `model_not_found`");
    });
  }
});

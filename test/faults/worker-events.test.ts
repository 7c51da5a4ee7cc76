import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chunk, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { type Api, CHAT, expectCut } from "./apis.ts";
import { ask, expectOneLineEach, lineOf, type Reply } from "./ask.ts";
import { expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--parse-output", "parsed-*", "--cb-failure-threshold", "1000"]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

const COMPLETIONS: Api = {
  ...CHAT,
  name: "/v1/completions",
  path: "/v1/completions",
  body: (model, extra = {}) => ({ model, prompt: "a", ...extra }),
};
const GENERATE: Api = {
  ...CHAT,
  name: "/generate",
  path: "/generate",
  body: (model, extra = {}) => ({ model, text: "a", ...extra }),
};

const data = (event: object): string => `data: ${JSON.stringify(event)}\n\n`;

/** What a client gets of a stream of these events, which ends in order. */
async function through(
  api: Api,
  model: string,
  events: readonly string[],
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Reply> {
  await using engine = await startRawEngine(({ write }) =>
    write(`${STREAM_HEAD}${events.map(chunk).join("")}0\r\n\r\n`),
  );
  await using _served = await gateway.serve(model, [engine.url]);
  return await ask(gateway, api, model, { stream: true, ...extra });
}

describe("a reason to stop that is none", () => {
  const piece = (content: string, finish_reason: string | null): string =>
    data({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason }] });
  const native = (text: string, finish_reason: unknown): string =>
    data({ text, index: 0, meta_info: { finish_reason } });

  for (const nothing of ["", "null"]) {
    const shown = JSON.stringify(nothing);

    test(`row 220: ${shown} in each event: a stream that is cut is told as cut`, async () => {
      const reply = await through(CHAT, `cut-${nothing}`, [piece("one", nothing), piece("two", nothing)]);
      expectCut(CHAT, reply, ["one", "two"], { code: "upstream_truncated" });
      const generated = await through(GENERATE, `generate-${nothing}`, [native("one", nothing)]);
      expectCut(GENERATE, generated, [], { code: "upstream_truncated" });
      observe(220, `${shown}: \`upstream_truncated\`, no \`[DONE]\`, on chat and /generate`);
    });

    test(`row 220: ${shown} in each event: a whole stream without its end marker gets it`, async () => {
      const reply = await through(CHAT, `whole-${nothing}`, [piece("one", nothing), piece("", "stop")]);
      expect(reply.text).toBe(`${piece("one", nothing)}${piece("", "stop")}data: [DONE]\n\n`);
      const said = [native("one", nothing), native("one two", { type: "length", length: 2 })];
      expect((await through(GENERATE, `native-${nothing}`, said)).text).toBe(`${said.join("")}data: [DONE]\n\n`);
    });

    test(`row 220: ${shown} in each event: with \`parse_output\` a call is told as a call`, async () => {
      const events = ['<tool_call>\n{"name": "f", ', '"arguments": {"x": 1}}\n</tool_call>'].map((text) =>
        piece(text, nothing),
      );
      const reply = await through(
        CHAT,
        `parsed-qwen3-${nothing === "" ? "empty" : nothing}`,
        [...events, piece("", "stop"), "data: [DONE]\n\n"],
        { tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }] },
      );
      expect(reply.text).toContain('"name":"f"');
      expect(reply.text).not.toContain("<tool_call>");
      expect(reply.text).toContain('"finish_reason":"tool_calls"');
      observe(220, `${shown}, parsed: the call, \`finish_reason\` tool_calls`);
    });
  }
});

describe("fewer answers than were asked for", () => {
  const chosen = (index: number, reason: string | null): string =>
    data({ id: "c", choices: [{ index, text: "x", delta: {}, finish_reason: reason }] });
  const native = (index: number, reason: object | null): string =>
    data({ text: "x", index, meta_info: { finish_reason: reason } });
  const first = [chosen(0, null), chosen(0, "stop")];
  const CASES: readonly (readonly [name: string, api: Api, asked: object, first: string[], second: string[]])[] = [
    ["n", CHAT, { n: 2 }, first, [chosen(1, "length")]],
    ["n", COMPLETIONS, { n: 2 }, first, [chosen(1, "stop")]],
    ["two prompts", COMPLETIONS, { prompt: ["a", "b"] }, first, [chosen(1, "stop")]],
    ["two lists of token ids", COMPLETIONS, { prompt: [[1], [2]] }, first, [chosen(1, "stop")]],
    ["a batch of texts", GENERATE, { text: ["a", "b"] }, [native(0, { type: "stop" })], [native(1, { type: "stop" })]],
    [
      "a batch of token ids, with n",
      GENERATE,
      { text: undefined, input_ids: [[1], [2]], sampling_params: { n: 2 } },
      [0, 1, 2].map((index) => native(index, { type: "stop" })),
      [native(3, { type: "length" })],
    ],
  ];
  for (const [index, [name, api, asked, begun, rest]] of CASES.entries()) {
    test(`row 221: ${name}: the stream ends too early, and is told as cut: ${api.name}`, async () => {
      const reply = await through(api, `few-${index}`, begun, { ...asked });
      expectCut(api, reply, [], { code: "upstream_truncated" });
      expect((await lineOf(gateway, reply))["error"]).toBe("upstream_truncated");
      const whole = await through(api, `all-${index}`, [...begun, ...rest], { ...asked });
      expect(whole.text).toBe(`${[...begun, ...rest].join("")}data: [DONE]\n\n`);
      expect((await lineOf(gateway, whole))["error"]).toBeUndefined();
      observe(221, `${name}: \`upstream_truncated\`; with all of them \`[DONE]\` added (${api.name})`);
    });
  }
});

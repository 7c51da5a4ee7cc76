import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import { chunk, type RawExchange, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { Secret } from "../../src/util/secret.ts";
import { post, startGateway } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";
import { CHAT } from "../support/pd-client.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";

const TOOLS = [{ type: "function", function: { name: "search", parameters: { type: "object" } } }];
const CALL = '<tool_call>{"name": "search", "arguments": {"q": "größer 駅"}}</tool_call>';
const SAYS = `<think>Where is it? 🚂</think>Let me see.${CALL}`;
const ASKED = { model: "qwen3-sim", messages: [{ role: "user", content: "Where is it?" }], tools: TOOLS };
const STREAMED = { ...ASKED, stream: true, stream_options: { include_usage: true } };
const PARSED: Partial<Config> = { parseOutput: ["qwen*"] };

interface Message {
  readonly content?: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly {
    readonly index?: number;
    readonly function: { readonly name?: string; readonly arguments: string };
  }[];
}

interface Said {
  content: string;
  reasoning: string;
  /** Name and arguments, one after the other. */
  calls: string;
  finish: string | null;
  usage: unknown;
}

interface Answer {
  readonly id: string;
  readonly choices?: readonly {
    readonly delta?: Message;
    readonly message?: Message;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: unknown;
  readonly error?: { readonly code: string };
}

function eventsOf(stream: string): Answer[] {
  return stream
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice("data: ".length)) as Answer);
}

function add(said: Said, { choices = [], usage }: Answer): Said {
  const [choice] = choices;
  const message = choice?.delta ?? choice?.message ?? {};
  said.content += message.content ?? "";
  said.reasoning += message.reasoning_content ?? "";
  for (const { function: called } of message.tool_calls ?? []) said.calls += (called.name ?? "") + called.arguments;
  said.finish = choice?.finish_reason ?? said.finish;
  said.usage = usage ?? said.usage;
  return said;
}

/** What a client is told by a chat, streamed or whole. */
async function chat(url: string, body: object): Promise<Said> {
  const text = await (await post(`${url}${CHAT}`, body)).text();
  const nothing: Said = { content: "", reasoning: "", calls: "", finish: null, usage: undefined };
  return text.startsWith("data:") ? eventsOf(text).reduce(add, nothing) : add(nothing, JSON.parse(text) as Answer);
}

const TOLD = {
  content: "Let me see.",
  reasoning: "Where is it? 🚂",
  calls: 'search{"q": "größer 駅"}',
  finish: "tool_calls",
  usage: expect.objectContaining({ prompt_tokens: expect.any(Number) }),
};

describe("an engine that returns what its model wrote", () => {
  test("is parsed here, streamed and whole", async () => {
    await using engine = await startEngine({ model: "qwen3-sim", says: SAYS });
    await using gateway = await startGateway({ workers: [engine.url], config: PARSED });
    const line = gateway.nextLine();
    expect(await chat(gateway.url, STREAMED)).toEqual(TOLD);
    const { completion_tokens, status } = await line;
    expect([completion_tokens, status]).toEqual([Math.ceil(Array.from(SAYS).length / 3), 200]);
    expect(await chat(gateway.url, ASKED)).toEqual(TOLD);
    expect(gateway.context.ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
  });

  test("keeps its words without the option, for other models and on other routes", async () => {
    await using engine = await startEngine({ model: "qwen3-sim", says: SAYS });
    for (const parseOutput of [[], ["llama*"]]) {
      await using gateway = await startGateway({ workers: [engine.url], config: { parseOutput } });
      const raw = { content: SAYS, reasoning: "", calls: "", finish: "stop" };
      expect(await chat(gateway.url, STREAMED)).toMatchObject(raw);
      expect(await chat(gateway.url, ASKED)).toMatchObject(raw);
    }
    await using gateway = await startGateway({ workers: [engine.url], config: PARSED });
    const completion = await post(`${gateway.url}/v1/completions`, { model: "qwen3-sim", prompt: "Where is it?" });
    expect(await completion.text()).toContain("</think>Let me see.<tool_call>");
  });

  test("makes no calls where there are no tools or none may be called", async () => {
    await using engine = await startEngine({ model: "qwen3-sim", says: SAYS });
    await using gateway = await startGateway({ workers: [engine.url], config: PARSED });
    const told = { ...TOLD, content: `Let me see.${CALL}`, calls: "", finish: "stop" };
    expect(await chat(gateway.url, { ...STREAMED, tool_choice: "none" })).toEqual(told);
    expect(await chat(gateway.url, { ...ASKED, tools: undefined })).toEqual(told);
  });

  test("is asked for its special tokens where the parser reads them", async () => {
    await using engine = await startEngine({ model: "mistral", says: '[TOOL_CALLS]search[ARGS]{"q": 1}</s>' });
    await using gateway = await startGateway({ workers: [engine.url], config: { parseOutput: ["*"] } });
    const told = { content: "", calls: 'search{"q": 1}', finish: "tool_calls" };
    expect(await chat(gateway.url, { ...STREAMED, model: "mistral" })).toMatchObject(told);
    expect(JSON.parse(engine.requests[0]?.body ?? "")).toEqual({
      ...STREAMED,
      model: "mistral",
      skip_special_tokens: false,
    });
  });

  test("tells of an answer that is cut within a call what there is, and why it ended", async () => {
    await using engine = await startEngine({ model: "qwen3-sim", says: SAYS });
    await using gateway = await startGateway({ workers: [engine.url], config: PARSED });
    for (const body of [STREAMED, ASKED]) {
      const said = await chat(gateway.url, { ...body, max_tokens: 16 });
      expect(said).toMatchObject({ content: "Let me see.<tool_ca", calls: "", finish: "length" });
    }
  });
});

test("an engine that has a parser of its own is not parsed again", async () => {
  await using engine = await startEngine({ model: "qwen3-sim" });
  await using parsing = await startGateway({ workers: [engine.url], config: PARSED });
  await using passing = await startGateway({ workers: [engine.url] });
  const body = { ...STREAMED, messages: [{ role: "user", content: "search for it" }] };
  for (const one of [body, { ...body, stream: false, stream_options: undefined }]) {
    const [with_, without] = await Promise.all([chat(parsing.url, one), chat(passing.url, one)]);
    expect(with_.calls).toStartWith("search{");
    expect({ ...with_, usage: 0 }).toEqual({ ...without, usage: 0 });
  }
});

for (const dialect of ["sglang", "nixl"] as const) {
  test(`prefill and decode (${dialect}): the answer of the pair is parsed, streamed and whole`, async () => {
    await using fleet = await startPdFleet({ dialect, waitMs: 1000, engine: { model: "qwen3-sim", says: SAYS } });
    await using gateway = await startPdGateway([[dialect, fleet]], { config: PARSED });
    expect(await chat(gateway.url, STREAMED)).toEqual(TOLD);
    expect(await chat(gateway.url, ASKED)).toEqual(TOLD);
    expect(fleet.violations).toEqual([]);
  });
}

describe("streams that are gone on with", () => {
  const CONTINUED: Partial<Config> = { parseOutput: ["*"], continueStreams: ["*"], reasoningParser: "qwen3" };

  function delta(content: string, finish: string | null = null): string {
    const choices = [{ index: 0, delta: { content }, finish_reason: finish }];
    return chunk(
      `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "raw", choices })}\n\n`,
    );
  }

  /** Two workers, of which the one that is asked first is lost after the text, and the other says the rest. */
  async function lost(
    text: string,
    rest: string,
  ): Promise<{ said: Said; bodies: readonly string[]; errors: unknown[] }> {
    const bodies: string[] = [];
    const answer = ({ body, write, end, reset }: RawExchange): void => {
      bodies.push(body);
      if (bodies.length === 1) {
        write(STREAM_HEAD + delta(text));
        setTimeout(reset, 50);
      } else {
        write(STREAM_HEAD + delta(rest) + delta("", "stop") + chunk("data: [DONE]\n\n") + "0\r\n\r\n");
        end();
      }
    };
    await using one = await startRawEngine(answer);
    await using other = await startRawEngine(answer);
    const config = { ...CONTINUED, toolCallParser: "hermes" };
    await using gateway = await startGateway({ workers: [one.url, other.url], config });
    const body = { ...ASKED, model: "raw", stream: true };
    const events = eventsOf(await (await post(`${gateway.url}${CHAT}`, body)).text());
    const nothing: Said = { content: "", reasoning: "", calls: "", finish: null, usage: undefined };
    const errors = events.flatMap(({ error }) => (error ? [error.code] : []));
    return { said: events.reduce(add, nothing), bodies, errors };
  }

  test("what was held back is written again by the other worker, which goes on with what was shown", async () => {
    const { said, bodies, errors } = await lost('Let me see. <tool_call>{"na', ` ${CALL}`);
    expect(said).toMatchObject({ content: "Let me see. ", calls: TOLD.calls, finish: "tool_calls" });
    const { messages } = JSON.parse(bodies[1] ?? "") as { messages: unknown[] };
    expect(messages.at(-1)).toEqual({ role: "assistant", content: "Let me see." });
    expect(errors).toEqual([]);
  });

  test("one in which reasoning or a call has appeared ends with an error", async () => {
    for (const text of ["<think>Where is", `Let me see.${CALL.slice(0, 40)}`]) {
      const { bodies, errors } = await lost(text, "never said");
      expect([bodies.length, errors.length]).toEqual([1, 1]);
    }
  });
});

test("with several threads: answers are parsed and texts are, on each of them", async () => {
  await using engine = await startEngine({ model: "qwen3-sim", says: SAYS });
  await using gateway = await startProcess(["--threads", "3", "--parse-output", "true", "--worker", engine.url]);
  await post(`${gateway.url}/workers?wait=true`, { url: engine.url });
  const body = { text: SAYS, reasoning_parser: "base" };
  const parse = async (): Promise<unknown> =>
    (await post(`${gateway.url}/parse/reasoning`, body, { connection: "close" })).json();
  const answers = await Promise.all(
    Array.from({ length: 12 }, async () => [await chat(gateway.url, STREAMED), await parse()]),
  );
  const parsed = { normal_text: `Let me see.${CALL}`, reasoning_text: TOLD.reasoning, success: true };
  for (const answer of answers) expect(answer).toEqual([TOLD, parsed]);
});

test("the routes that parse a text take the serving key", async () => {
  await using gateway = await startGateway({ config: { apiKey: new Secret("k") } });
  const ask = (path: string, body: object): Promise<Response> =>
    post(`${gateway.url}${path}`, body, { authorization: "Bearer k" });
  expect((await post(`${gateway.url}/parse/reasoning`, {})).status).toBe(401);
  const calls = await ask("/parse/function_call", {
    text: SAYS,
    tool_call_parser: "hermes",
    tools: TOOLS,
  });
  expect(await calls.json()).toMatchObject({ success: true, tool_calls: [{ function: { name: "search" } }] });
  const reasoning = await ask("/parse/reasoning", { text: SAYS, reasoning_parser: "base" });
  expect(await reasoning.json()).toMatchObject({ reasoning_text: TOLD.reasoning, success: true });
  const wrong = await ask("/parse/reasoning", { text: SAYS, reasoning_parser: "x" });
  expect([wrong.status, await wrong.json()]).toEqual([
    400,
    { error: expect.objectContaining({ code: "invalid_request", param: "reasoning_parser" }) },
  ]);
});

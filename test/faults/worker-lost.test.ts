import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BIN, ELSEWHERE } from "../support/process.ts";
import { chunk, deltaChunk, type RawExchange, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { expectSameProcessServes, observe } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--continue-streams", "goes-on*", "--policy", "round_robin"]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

interface Streamed {
  readonly text: string;
  readonly ids: ReadonlySet<unknown>;
  readonly finish: unknown;
  readonly usage: Record<string, number> | undefined;
  readonly error: { readonly code: string } | undefined;
  readonly isDone: boolean;
}

interface StreamEvent {
  readonly id?: string;
  readonly choices?: readonly { delta?: { content?: string }; text?: string; finish_reason?: string | null }[];
  readonly usage?: Record<string, number> | null;
  readonly error?: { readonly code: string };
}

/** Reads a stream of chat or completions to its end. */
async function read(response: Response): Promise<Streamed> {
  const body = await response.text();
  const events = body
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => JSON.parse(event.slice(6)) as StreamEvent);
  const choices = events.flatMap((event) => event.choices ?? []);
  const text = choices.map((choice) => choice.delta?.content ?? choice.text ?? "").join("");
  return {
    text,
    ids: new Set(events.filter(({ id }) => id !== undefined).map(({ id }) => id)),
    finish: choices.find(({ finish_reason }) => finish_reason)?.finish_reason,
    usage: events.find(({ usage }) => usage)?.usage ?? undefined,
    error: events.find(({ error }) => error)?.error,
    isDone: body.trimEnd().endsWith("data: [DONE]"),
  };
}

/** The simulated engine as a process of its own, so that it can be killed. */
async function startEngineProcess(args: readonly string[]): Promise<{ url: string; kill(): void } & AsyncDisposable> {
  const child = Bun.spawn([BIN, "engine", "--port", "0", ...args], {
    cwd: ELSEWHERE,
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await child.stdout.getReader().read();
  const url = /http:\/\/[\d.]+:\d+/.exec(Buffer.from(value ?? []).toString())?.[0];
  if (url === undefined) throw new Error("the engine said no address");
  return {
    url,
    kill: () => child.kill("SIGKILL"),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

describe("a worker dies and the client does not notice", () => {
  test("row 41: with `continue_streams`, kill -9 of one of three engines under 200 live streams: each ends whole, with the text of an undisturbed engine", async () => {
    await using one = await startEngineProcess(["--model", "goes-on"]);
    await using two = await startEngineProcess(["--model", "goes-on"]);
    await using three = await startEngineProcess(["--model", "goes-on"]);
    await using undisturbed = await startEngine({ model: "goes-on" });
    await using _served = await gateway.serve("goes-on", [one.url, two.url, three.url]);
    const bodies = Array.from({ length: 200 }, (_, index) => {
      const common = { stream: true, stream_options: { include_usage: true }, max_tokens: 60, ignore_eos: true };
      return index % 4 === 0
        ? { path: "/v1/completions", body: { model: "goes-on", prompt: `Tell me of train ${index}`, ...common } }
        : {
            path: "/v1/chat/completions",
            body: { model: "goes-on", messages: [{ role: "user", content: `Train "${index}"?` }], ...common },
          };
    });
    const streams = bodies.map(async ({ path, body }) => read(await post(`${gateway.url}${path}`, body)));
    while ((await gateway.metric("pointsman_requests_in_flight", { model: "goes-on" })) < 200) await Bun.sleep(5);
    await Bun.sleep(200);
    one.kill();
    const got = await Promise.all(streams);
    const wanted = await Promise.all(
      bodies.map(async ({ path, body }) => read(await post(`${undisturbed.url}${path}`, body))),
    );
    expect(got.filter(({ error, isDone }) => error !== undefined || !isDone)).toEqual([]);
    expect(got.map(({ text }) => text)).toEqual(wanted.map(({ text }) => text));
    expect(got.map(({ finish, usage }) => [finish, usage?.["completion_tokens"]])).toEqual(
      wanted.map(({ finish, usage }) => [finish, usage?.["completion_tokens"]]),
    );
    expect(
      got.every(({ ids, usage }) => ids.size === 1 && usage?.["total_tokens"] === (usage?.["prompt_tokens"] ?? 0) + 60),
    ).toBe(true);
    const continued = await gateway.metric("pointsman_stream_continuations_total");
    expect(continued).toBeGreaterThan(30);
    observe(41, `with \`continue_streams\`: 200 of 200 streams whole, ${continued} gone on with elsewhere`);
  });

  /** Answers two words and breaks. */
  const breaks = (exchange: RawExchange): void => {
    exchange.write(STREAM_HEAD + deltaChunk("Hello") + deltaChunk(" there \n"));
    setTimeout(() => exchange.reset(), 20);
  };

  test("row 6: with `continue_streams`, white space that a template trims is neither repeated nor swallowed, and the rest of the request is the client's", async () => {
    const seen: Record<string, unknown>[] = [];
    const goesOn =
      (text: string) =>
      (exchange: RawExchange): void => {
        seen.push(JSON.parse(exchange.body) as Record<string, unknown>);
        exchange.write(STREAM_HEAD + deltaChunk("") + deltaChunk(text));
        exchange.write(
          chunk(
            `data: ${JSON.stringify({ id: "other", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`,
          ),
        );
        exchange.write(`${chunk("data: [DONE]\n\n")}0\r\n\r\n`);
      };
    for (const [index, [added, whole]] of [
      [" \nyou", "Hello there \nyou"],
      [" you", "Hello there \nyou"],
      ["you", "Hello there \nyou"],
      [" \n\nyou", "Hello there \n\nyou"],
    ].entries()) {
      const model = `goes-on-space-${index}`;
      await using first = await startRawEngine(breaks);
      await using second = await startRawEngine(goesOn(added ?? ""));
      await using _served = await gateway.serve(model, [first.url, second.url]);
      const answers = [];
      for (let count = 0; count < 2; count += 1) {
        const body = JSON.stringify({ ...chat(model), stream: true, max_tokens: 50, seed: 1 }).replace(
          '"seed":1',
          '"seed":9007199254740993',
        );
        answers.push(await read(await post(`${gateway.url}/v1/chat/completions`, body)));
      }
      const went = answers.find(({ text }) => text.startsWith("Hello"));
      expect([went?.text, went?.error, went?.isDone, went?.ids.size]).toEqual([whole, undefined, true, 1]);
    }
    const asked = seen.find((body) => body["continue_final_message"] === true);
    expect(asked).toMatchObject({ add_generation_prompt: false, max_tokens: 48, stream: true });
    expect(asked?.["messages"]).toContainEqual({ role: "assistant", content: "Hello there" });
  });

  const refused: readonly [name: string, extra: Record<string, unknown>][] = [
    ["log-probabilities", { logprobs: true }],
    ["several answers", { n: 2 }],
    ["structured output", { response_format: { type: "json_object" } }],
  ];
  for (const [name, extra] of refused) {
    test(`row 6: with \`continue_streams\` and ${name} the stream ends with an error, as it does for other models`, async () => {
      const model = `goes-on-not-${name.length}`;
      await using first = await startRawEngine(breaks);
      await using _served = await gateway.serve(model, [first.url]);
      const answer = await read(
        await post(`${gateway.url}/v1/chat/completions`, chat(model, { stream: true, ...extra })),
      );
      expect([answer.text, answer.error?.code, answer.isDone]).toEqual(["Hello there \n", "upstream_reset", false]);
      expect(first.generations).toBe(1);
    });
  }

  test("row 6: with `continue_streams`, where nobody else serves the model the stream ends with what ended it", async () => {
    await using first = await startRawEngine(breaks);
    await using _served = await gateway.serve("goes-on-alone", [first.url]);
    const answer = await read(
      await post(`${gateway.url}/v1/chat/completions`, chat("goes-on-alone", { stream: true })),
    );
    expect([answer.error?.code, answer.isDone, first.generations]).toEqual(["upstream_reset", false, 1]);
  });

  test("row 6: a model that is not named for it is not gone on with", async () => {
    await using first = await startRawEngine(breaks);
    await using engine = await startEngine({ model: "stays" });
    await using _served = await gateway.serve("stays", [first.url, engine.url]);
    const answers = [];
    for (let count = 0; count < 2; count += 1)
      answers.push(await read(await post(`${gateway.url}/v1/chat/completions`, chat("stays", { stream: true }))));
    expect(answers.filter(({ error }) => error?.code === "upstream_reset")).toHaveLength(1);
  });
});

import { expect, test } from "bun:test";
import { changed } from "../../../test/support/changed.ts";
import { PlayedTransport } from "../../../test/support/played-transport.ts";
import { PlayedResponse, type RequestOptions, setUpRouting } from "../../../test/support/routing.ts";
import type { WorkerResponse } from "../response-stage.ts";
import { createVia } from "../../transport/via.ts";
import { HttpForwarder } from "./http-forwarder.ts";
import { HttpSender } from "./http-sender.ts";
import { ParsedSender } from "./parsed-sender.ts";

const TIMEOUTS = { connectMs: 1, firstByteMs: 2, idleMs: 3, totalMs: 60_000 };

async function sent(content: string, parsesOutput: boolean, options: RequestOptions = {}): Promise<WorkerResponse> {
  const setup = setUpRouting();
  const chunk = { choices: [{ index: 0, delta: { content }, finish_reason: null }] };
  const transport = new PlayedTransport(
    () => new PlayedResponse([`data: ${JSON.stringify(chunk)}\n\n`, "data: [DONE]\n\n"]),
  );
  const inner = new HttpSender(
    new HttpForwarder({ transport, timeouts: TIMEOUTS, forwardHeaders: [], via: createVia() }),
  );
  const sender = new ParsedSender(inner, {
    parsesOutput: () => parsesOutput,
    toolCallParser: undefined,
    reasoningParser: "qwen3",
  });
  const answer = setup.attempt(setup.add("http://one:1", { modelId: "m" }));
  return sender.send(await sender.prepare(setup.request(options)), { prefill: undefined, answer });
}

test("reasoning is taken out of an answer's text", async () => {
  const text = await changed(await sent("<think>a</think>b", true));
  expect([text.includes('"reasoning_content":"a"'), text.includes('"content":"b"')]).toEqual([true, true]);
});

test("an answer of another model, and one of another route, passes as it is", async () => {
  expect((await sent("<think>a</think>b", false)).changes).toBeUndefined();
  expect((await sent("<think>a</think>b", true, { path: "/v1/completions" })).changes).toBeUndefined();
});

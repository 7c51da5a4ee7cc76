import { expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { startGateway } from "../support/gateway.ts";

const CONVERSATIONS = 4;
const TURNS = 5;

test("turns of a coding agent stay with the worker that has their prefix, though a line of theirs changes each time", async () => {
  const engines = [
    await startEngine({ kind: "vllm", model: "m", instant: true }),
    await startEngine({ kind: "vllm", model: "m", instant: true }),
  ];
  try {
    await using gateway = await startGateway({
      workers: engines.map(({ url }) => url),
      config: { defaultPolicy: "cache_aware" },
    });
    let hash = 0;
    const send = async (messages: readonly object[]): Promise<number> => {
      hash += 1;
      const line = `x-anthropic-billing-header: cc_version=2.1.177; cc_entrypoint=cli; cch=${hash.toString(16)};`;
      const system = [line, "You write code. ".repeat(40)].map((text) => ({ type: "text", text }));
      const before = engines.map(({ requests }) => requests.length);
      const answer = await fetch(`${gateway.url}/v1/messages`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "m", max_tokens: 5, system, messages }),
      });
      expect(answer.status).toBe(200);
      await answer.text();
      const at = engines.findIndex(({ requests }, index) => requests.length > (before[index] ?? 0));
      // The worker gets the bytes as they came.
      expect(engines[at]?.requests.at(-1)?.body).toContain(line);
      return at;
    };
    for (let conversation = 0; conversation < CONVERSATIONS; conversation += 1) {
      const messages: object[] = [];
      const seen = new Set<number>();
      for (let turn = 0; turn < TURNS; turn += 1) {
        messages.push({ role: "user", content: `${conversation} asks ${turn}: ${"words ".repeat(40)}` });
        seen.add(await send(messages));
        messages.push({ role: "assistant", content: "answer ".repeat(20) });
      }
      expect({ conversation, workers: seen.size }).toEqual({ conversation, workers: 1 });
    }
  } finally {
    for (const engine of engines) await engine.stop();
  }
});

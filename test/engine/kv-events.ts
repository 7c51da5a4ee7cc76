/**
 * Compares what the gateway knows of a real engine's cache by its KV events with what the engine says itself (`cached_tokens`), request by
 * request, while the engine evicts. Needs an engine of its own, with `--enable-prompt-tokens-details` and KV events with a replay:
 *
 *   bun run test/engine/kv-events.ts ENGINE_URL EVENTS_ENDPOINT REPLAY_ENDPOINT TOKENIZER_FOLDER [REQUESTS]
 *
 * Prints each request whose prediction is wrong, and ends with 1 if one in a hundred or more is.
 */
import { BoundSockets } from "../../src/kv-events/bound-sockets.ts";
import { endpointsOf } from "../../src/kv-events/endpoints.ts";
import { Pump } from "../../src/kv-events/pump.ts";
import { MAX_MESSAGE_BYTES, TTL_MS } from "../../src/kv-events/subscription.ts";
import { WorkerFeed } from "../../src/kv-events/worker-feed.ts";
import { tcp } from "../../src/kv-events/zmtp/tcp.ts";
import { tellIndex } from "../../src/policy/index-news.ts";
import { hashPrompt } from "../../src/policy/prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "../../src/policy/prefix-index.ts";
import { loadTokenizer } from "../../src/tokenizer/load/load-tokenizer.ts";
import { systemClock } from "../../src/util/clock.ts";
import { LoopTurns } from "../../src/util/loop-turns.ts";

const [url = "", endpoint = "", replayEndpoint = "", folder = "", count = "200"] = process.argv.slice(2);
if (folder === "")
  throw new Error("usage: kv-events.ts ENGINE_URL EVENTS_ENDPOINT REPLAY_ENDPOINT TOKENIZER_FOLDER [REQUESTS]");

const INDEX_BYTES = 67_108_864;
const SLOT = 1;
const WORDS = "import class return self value index argument parse string error file path open read write list".split(
  " ",
);

const tokenizer = await loadTokenizer(folder, {});
const index = new PrefixIndex(INDEX_BYTES, new SharedArrayBuffer(prefixIndexBytes(INDEX_BYTES)));
const settings = { maxMessageBytes: MAX_MESSAGE_BYTES, ttlMs: TTL_MS };
const feed = new WorkerFeed(
  endpointsOf({ endpoint, replayEndpoint, topic: "", ranks: 1 }, url),
  INDEX_BYTES,
  {
    tcp,
    clock: systemClock,
    random: Math.random,
    bound: new BoundSockets({ tcp, clock: systemClock, settings }),
    pump: new Pump({ now: () => performance.now(), turns: new LoopTurns(), onPause: () => undefined }),
  },
  {
    stored: (_lora, hashes) => tellIndex(index, SLOT, { kind: "stored", hashes }),
    removed: (_lora, hashes) => tellIndex(index, SLOT, { kind: "removed", hashes }),
    cleared: () => tellIndex(index, SLOT, { kind: "cleared" }),
    exact: (isExact) => tellIndex(index, SLOT, { kind: "exact", isExact }),
    onState: (state, reason) => console.log(`state ${state}: ${reason}`),
  },
);
const models = (await (await fetch(`${url}/v1/models`)).json()) as {
  readonly data: readonly { readonly id: string }[];
};
const model = models.data[0]?.id ?? "";
while (!feed.isExact) await Bun.sleep(20);

let seed = 7;
/** A whole number from 0 below `below`; the same in each run. */
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

const words = (many: number): string => Array.from({ length: many }, () => WORDS[random(WORDS.length)]).join(" ");

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** Tokens of the prompt that the index finds. */
async function predicted(messages: readonly Message[]): Promise<{ readonly tokens: number; readonly cached: number }> {
  const template = tokenizer.chatTemplates.get({ hasTools: false });
  const { text } = template.render({
    messages,
    addGenerationPrompt: true,
    continueFinalMessage: false,
    kwargs: {},
  } as never);
  const ids = await tokenizer.encode(text, { addSpecialTokens: false });
  const prompt = hashPrompt(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  index.match(prompt);
  index.find(8);
  const number = index.numberOf(SLOT);
  return { tokens: ids.length, cached: number < 0 ? 0 : index.bytesAt(number) / 4 };
}

const conversations = Array.from({ length: 6 }, (_, number): Message[] => [
  { role: "system", content: `conversation ${number} ${words(60)}` },
]);
let wrong = 0;
let differentCounts = 0;
let hits = 0;
for (let request = 0; request < Number(count); request += 1) {
  const at = random(conversations.length);
  const messages = conversations[at] ?? [];
  messages.push({ role: "user", content: words(10 + random(30)) });
  // What the last request stored and evicted has come by now.
  await Bun.sleep(120);
  const expected = await predicted(messages);
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages, max_tokens: 8, ignore_eos: true, temperature: 0 }),
  });
  const answer = (await response.json()) as {
    readonly choices: readonly { readonly message: { readonly content: string } }[];
    readonly usage: {
      readonly prompt_tokens: number;
      readonly prompt_tokens_details: { readonly cached_tokens: number } | null;
    };
  };
  const { prompt_tokens: tokens, prompt_tokens_details: details } = answer.usage;
  const cached = details?.cached_tokens ?? 0;
  hits += cached;
  if (tokens !== expected.tokens) differentCounts += 1;
  if (cached !== expected.cached) {
    wrong += 1;
    console.log(
      `request ${request}: ${tokens} tokens (gateway ${expected.tokens}), cached ${cached}, predicted ${expected.cached}`,
    );
  }
  messages.push({ role: "assistant", content: answer.choices[0]?.message.content ?? "" });
  if (tokens > 1500) messages.splice(1);
}
const { batches, gaps, restarts, blocks, bytes, orphans } = feed.view;
console.log(
  `${count} requests, ${hits} tokens cached; prediction wrong ${wrong} times, count of tokens ${differentCounts} times; ` +
    JSON.stringify({ batches, gaps, restarts, blocks, bytes, orphans }),
);
process.exit(wrong * 100 >= Number(count) || differentCounts > 0 ? 1 : 0);

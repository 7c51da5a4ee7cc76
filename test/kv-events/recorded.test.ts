import { expect, test } from "bun:test";
import { join } from "node:path";
import { type BlockKey, readBatch } from "../../src/kv-events/cache-event.ts";
import { HeldBlocks } from "../../src/kv-events/held-blocks.ts";
import { hashPrompt } from "../../src/policy/prefix-blocks.ts";

/** What vLLM 0.32 published while it evicted (64 blocks of 32 tokens), and when its cache was reset: batches as arrays, events as maps. */
const lines = (await Bun.file(join(import.meta.dir, "vllm-0.32.jsonl")).text()).trim().split("\n");
const batches = lines.map((line) => {
  const { seq, payload } = JSON.parse(line) as { readonly seq: number; readonly payload: string };
  return { seq, payload: Buffer.from(payload, "hex") };
});

function setUp() {
  const known = new Set<number>();
  const held = new HeldBlocks(10_000_000, {
    stored: (_lora, hashes) => hashes.forEach((hash) => known.add(hash)),
    removed: (_lora, hashes) => hashes.forEach((hash) => known.delete(hash)),
    cleared: () => known.clear(),
  });
  return { known, held };
}

test("what vLLM published is read to the last field, and each block has its parent", () => {
  const { held, known } = setUp();
  const engine = new Set<BlockKey>();
  let evictions = 0;
  for (const { payload } of batches.filter(({ seq }) => seq < 25)) {
    const batch = readBatch(payload);
    expect([batch.skipped, batch.rank]).toEqual([0, 0]);
    for (const event of batch.events) {
      if (event.kind === "stored") {
        expect([event.blockTokens, event.tokens.length, event.attention]).toEqual([
          32,
          event.keys.length * 32,
          "full_attention",
        ]);
        for (const key of event.keys) engine.add(key);
      }
      if (event.kind === "removed") {
        for (const key of event.keys) expect(engine.delete(key)).toBe(true);
        evictions += event.keys.length;
      }
      held.apply(event);
    }
    expect(engine.size).toBeLessThan(64);
    expect([held.oddities, held.fault]).toEqual([{ orphans: 0, misfits: 0, foreign: 0 }, undefined]);
    // A block of the index is one of 32 tokens here.
    expect(known.size).toBe(engine.size);
  }
  expect(evictions).toBeGreaterThan(20);
});

test("the tokens of its blocks make the hashes of the gateway's prompts, until they are evicted or the cache is reset", () => {
  const { held, known } = setUp();
  const [first] = batches;
  const [event] = first ? readBatch(first.payload).events : [];
  if (event?.kind !== "stored") throw new Error("the recording does not begin with stored blocks");
  held.apply(event);
  const { hashes } = hashPrompt(new Uint8Array(Uint32Array.from(event.tokens).buffer));
  expect([...hashes].every((hash) => known.has(hash))).toBe(true);
  for (const { payload } of batches) for (const one of readBatch(payload).events) held.apply(one);
  // The last batch but one is the reset.
  expect([known.size, held.blocks]).toEqual([1, 1]);
});

import { expect, test } from "bun:test";
import fc from "fast-check";
import { hashPrompt, type PromptBlocks } from "./prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";

const MIB = 1024 * 1024;
const BLOCK = 128;

/** A prompt of one block for each letter. */
function blocksOf(letters: string): PromptBlocks {
  return hashPrompt(Buffer.concat(Array.from(letters, (letter) => Buffer.alloc(BLOCK, letter))));
}

function createIndex(): PrefixIndex {
  return new PrefixIndex(MIB, new SharedArrayBuffer(prefixIndexBytes(MIB)));
}

type Held = "in flight" | "settled";
type Holder = readonly [slot: number, readonly [bytes: number, safeBytes: number]];

/** What each worker has, by the letters of the prefix: the meaning of the index without its table. */
class Model {
  readonly #held = new Map<number, Map<string, Held>>();

  of(slot: number): Map<string, Held> {
    let held = this.#held.get(slot);
    if (!held) this.#held.set(slot, (held = new Map()));
    return held;
  }

  insert(letters: string, slot: number): void {
    const held = this.of(slot);
    const known = deepest(letters, (prefix) => held.has(prefix));
    for (let end = 1; end <= letters.length; end += 1) {
      const prefix = letters.slice(0, end);
      if (end > known) held.set(prefix, "in flight");
      else if (!held.has(prefix)) held.set(prefix, "settled");
    }
  }

  settle(letters: string, slot: number): void {
    for (let end = 1; end <= letters.length; end += 1) this.of(slot).set(letters.slice(0, end), "settled");
  }

  withdraw(letters: string, slot: number): void {
    const held = this.of(slot);
    for (let end = 1; end <= letters.length; end += 1) {
      if (held.get(letters.slice(0, end)) === "in flight") held.delete(letters.slice(0, end));
    }
  }

  /**
   * Whether the worker has lost a beginning of the prompt, by a withdrawal, of which it still has more. Blocks behind that are worth
   * nothing, and the search may skip them.
   */
  hasGap(letters: string, slot: number): boolean {
    const held = this.of(slot);
    const end = deepest(letters, (prefix) => held.has(prefix));
    return Array.from({ length: end }, (_, at) => letters.slice(0, at + 1)).some((prefix) => !held.has(prefix));
  }

  /** By slot, the bytes that the worker has, and those that it has for certain. */
  holders(letters: string): Map<number, Holder[1]> {
    const holders = new Map<number, Holder[1]>();
    for (const [slot, held] of this.#held) {
      const bytes = deepest(letters, (prefix) => held.has(prefix));
      const safe = deepest(letters, (prefix) => held.get(prefix) === "settled");
      if (bytes > 0) holders.set(slot, [bytes * BLOCK, safe * BLOCK]);
    }
    return holders;
  }
}

/** Length of the longest prefix for which this is so. */
function deepest(letters: string, isSo: (prefix: string) => boolean): number {
  let length = letters.length;
  while (length > 0 && !isSo(letters.slice(0, length))) length -= 1;
  return length;
}

const letters = fc.string({ unit: fc.constantFrom("a", "a", "a", "b"), minLength: 1, maxLength: 12 });

test("finds whom the blocks name, each with all that it has, the longest first, in one search or in several", () => {
  const step = fc.record({
    kind: fc.constantFrom("insert", "insert", "settle", "withdraw"),
    letters,
    // More than a place of the table names, so that blocks have lists as well.
    slot: fc.nat(24),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), letters, fc.nat(24), (steps, asked, pause) => {
      const index = createIndex();
      // Whatever is used before the first insert counts as forgotten.
      index.match(blocksOf("z"));
      index.insert(30);
      const model = new Model();
      for (const { kind, letters, slot } of steps) {
        model[kind](letters, slot);
        const blocks = blocksOf(letters);
        index.match(blocks);
        if (kind === "insert") index.insert(slot);
        else index[kind](blocks, slot);
      }
      index.match(blocksOf(asked));
      index.find(pause);
      const count = index.find(64);
      const found = Array.from({ length: count }, (_, at) => index.bytesAt(at));
      expect(found).toEqual(found.toSorted((a, b) => b - a));
      const held = Array.from({ length: count }, (_, at) => {
        return [index.slotAt(at), [index.bytesAt(at), index.safeBytesAt(at)] as const] as const;
      });
      const whole = (holders: Iterable<Holder>): Map<number, Holder[1]> =>
        new Map([...holders].filter(([slot]) => !model.hasGap(asked, slot)));
      expect(whole(held)).toEqual(whole(model.holders(asked)));
    }),
    { numRuns: 300 },
  );
});

test("a worker that has lost the end of a prompt is found by the block before, which has the same owners", () => {
  const index = createIndex();
  const long = hashPrompt(Buffer.alloc(1024, "long"));
  for (const slot of [1, 2]) {
    index.setBound(slot, 2048);
    index.match(long);
    index.insert(slot);
  }
  // Blocks age from the end of a prompt: of 2,048 bytes, 1,536 have come since.
  index.match(hashPrompt(Buffer.alloc(1536, "other")));
  index.insert(1);
  index.match(long);
  index.find(64);
  expect([index.bytesAt(index.numberOf(1)), index.bytesAt(index.numberOf(2))]).toEqual([512 - BLOCK, 1024]);
});

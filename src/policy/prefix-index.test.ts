import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { blocksEnd, hashPrompt, matchedRatio, type PromptBlocks } from "./prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "./prefix-index.ts";

const MIB = 1024 * 1024;

function createIndex(maxBytes = MIB, memory = new SharedArrayBuffer(prefixIndexBytes(maxBytes))): PrefixIndex {
  return new PrefixIndex(maxBytes, memory);
}

function blocksOf(text: string): PromptBlocks {
  return hashPrompt(Buffer.from(text));
}

/** Text that no other seed begins with. */
function story(seed: string, length = 2000): string {
  return `${seed} `.repeat(Math.ceil(length / (seed.length + 1))).slice(0, length);
}

/** Bytes of the text that somebody has. */
function knownOf(index: PrefixIndex, text: string): number {
  return index.match(blocksOf(text));
}

/** Who has how much of the text, and how much of it for certain. */
function holdersOf(index: PrefixIndex, text: string): Record<number, readonly [bytes: number, safeBytes: number]> {
  index.match(blocksOf(text));
  const count = index.find(64);
  return Object.fromEntries(
    Array.from({ length: count }, (_, at) => [index.slotAt(at), [index.bytesAt(at), index.safeBytesAt(at)]]),
  );
}

/** The workers that have the longest prefix of the text. */
function ownersOf(index: PrefixIndex, text: string): number[] {
  index.match(blocksOf(text));
  const count = index.find(1);
  return Array.from({ length: count }, (_, at) => index.slotAt(at)).sort((a, b) => a - b);
}

/** Sends the text to the workers. */
function insert(index: PrefixIndex, text: string, ...slots: readonly number[]): void {
  for (const slot of slots) {
    index.match(blocksOf(text));
    index.insert(slot);
  }
}

/** Sends the text to a worker, which prefills it. */
function serve(index: PrefixIndex, text: string, slot: number): void {
  insert(index, text, slot);
  index.settle(blocksOf(text), slot);
}

test("what a worker had for certain before need not be settled again, and the rest is", () => {
  const index = createIndex();
  const [before, whole] = [story("both", 1024), story("both", 4096)];
  serve(index, before, 3);
  insert(index, whole, 3);
  expect(holdersOf(index, whole)[3]).toEqual([4096, 1024]);
  index.settle(blocksOf(whole), 3, 2048);
  // The last block is certain, so all before it are.
  expect(holdersOf(index, whole)[3]).toEqual([4096, 4096]);
  // Those that were said to be certain were left as they are.
  expect(holdersOf(index, story("both", 2048))[3]).toEqual([2048, 1024]);
});

test("a prompt of which any blocks were lost has one place for each block again", () => {
  const { hashes, bytes } = blocksOf(story("with holes", 5000));
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(hashes.length - 1), { maxLength: 12 }), (lost) => {
      const memory = new SharedArrayBuffer(prefixIndexBytes(MIB));
      const index = createIndex(MIB, memory);
      index.store(
        1,
        hashes.filter((_, block) => !lost.includes(block)),
      );
      index.match({ hashes, bytes });
      index.insert(2);
      index.settle({ hashes, bytes }, 2, 0, index.note);
      const cells = new Int32Array(memory).filter((cell) => hashes.includes(cell)).sort();
      expect(cells).toEqual(hashes.toSorted());
      index.match({ hashes, bytes });
      index.find(2);
      expect(index.bytesAt(index.numberOf(2))).toBe(blocksEnd(hashes.length));
    }),
    { numRuns: 30 },
  );
});

describe("who has seen a prompt", () => {
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, slot) => slot);

  test("is named", () => {
    const index = createIndex();
    insert(index, story("both"), 3, 9000);
    expect(ownersOf(index, story("both"))).toEqual([3, 9000]);
  });

  test.each([8, 9, 32, 64])(
    "is named in a fleet of %p that shares a system prompt, each with all that it has",
    (count) => {
      const index = createIndex();
      const system = story("You are a helpful assistant.", 1280);
      for (const slot of upTo(count)) serve(index, `${system}${story(`user ${slot}`, 500)}`, slot);
      expect(ownersOf(index, system)).toEqual(upTo(count));
      const own = `${system}${story("user 5", 500)}`;
      expect(holdersOf(index, own)).toEqual(
        Object.fromEntries(upTo(count).map((slot) => [slot, slot === 5 ? [1664, 1664] : [1280, 1280]])),
      );
      index.match(blocksOf(own));
      expect([index.find(1), index.slotAt(0)]).toEqual([1, 5]);
    },
  );

  test("is named for at most 64, the newest of those whose slots are equal modulo 64", () => {
    const index = createIndex();
    insert(index, story("many"), ...upTo(150));
    expect(ownersOf(index, story("many"))).toEqual(upTo(150).slice(-64));
  });

  test("is not found in the same order each time, where many have the same", () => {
    const index = createIndex();
    insert(index, story("many"), ...upTo(64));
    const first = new Set<number>();
    for (let count = 0; count < 640; count += 1) {
      index.match(blocksOf(story("many")));
      index.find(1);
      first.add(index.slotAt(0));
    }
    expect(first.size).toBeGreaterThan(50);
  });

  test("among many is forgotten, withdrawn, settled and aged like among few", () => {
    const index = createIndex();
    const shared = story("shared", 1280);
    for (const slot of upTo(20)) index.setBound(slot, 4096);
    insert(index, shared, ...upTo(20));
    index.settle(blocksOf(shared), 4);
    index.withdraw(blocksOf(shared), 5);
    index.withdraw(blocksOf(shared), 4);
    index.forget(6);
    for (let count = 0; count < 4; count += 1) insert(index, story(`other ${count}`, 1280), 7);
    insert(index, shared, 8);
    const held = holdersOf(index, shared);
    expect(Object.keys(held).map(Number)).toEqual(upTo(20).filter((slot) => ![5, 6, 7].includes(slot)));
    expect([held[4], held[8], held[9]]).toEqual([
      [1280, 1280],
      [1280, 0],
      [1280, 0],
    ]);
    insert(index, shared, 6);
    expect(holdersOf(index, shared)[6]).toEqual([1280, 0]);
  });

  test("many prompts of many workers push each other out, and what is left is right", () => {
    const index = createIndex(256 * 1024);
    const texts = Array.from({ length: 200 }, (_, name) => story(`text ${name}`, 1280));
    // Each worker has each second text, so that wrong owners would show.
    for (let round = 0; round < 3; round += 1) {
      for (const [name, text] of texts.entries()) {
        insert(index, text, ...upTo(40).filter((slot) => (slot + name) % 2 === 0));
      }
    }
    let named = 0;
    for (const [name, text] of texts.entries()) {
      const owners = Object.keys(holdersOf(index, text)).map(Number);
      named += owners.length;
      expect([name, owners.filter((slot) => (slot + name) % 2 !== 0)]).toEqual([name, []]);
    }
    expect(named).toBeGreaterThan(100);
  });
});

test("what is forgotten does not come back when others use the same blocks, nor for the slot's next worker", () => {
  const index = createIndex();
  insert(index, story("one"), 1, 2);
  insert(index, story("two"), 1);
  index.forget(1);
  expect([ownersOf(index, story("one")), ownersOf(index, story("two"))]).toEqual([[2], []]);
  insert(index, story("one"), 3);
  insert(index, story("new"), 1);
  expect([ownersOf(index, story("one")), ownersOf(index, story("two"))]).toEqual([[2, 3], []]);
  expect(ownersOf(index, story("new"))).toEqual([1]);
  insert(index, story("two"), 1);
  expect(ownersOf(index, story("two"))).toEqual([1]);
});

test("what one thread forgets all have forgotten", () => {
  const memory = new SharedArrayBuffer(prefixIndexBytes(MIB));
  const [one, other] = [createIndex(MIB, memory), createIndex(MIB, memory)];
  insert(one, story("ann"), 4, 5);
  expect(ownersOf(other, story("ann"))).toEqual([4, 5]);
  other.forget(4);
  expect(ownersOf(one, story("ann"))).toEqual([5]);
});

test("its clock may wrap", () => {
  const memory = new SharedArrayBuffer(prefixIndexBytes(MIB));
  const index = createIndex(MIB, memory);
  const clock = new Int32Array(memory, 0, 1);
  insert(index, story("old"), 1, 2);
  index.forget(1);
  // To just before each time at which it looks after old times, and past it.
  for (let step = 1; step <= 10; step += 1) {
    clock[0] = step * 2 ** 29 - 2;
    insert(index, story("kept"), 1);
    insert(index, story(`step ${step}`), 1, 2);
    expect([step, ownersOf(index, story(`step ${step}`)), ownersOf(index, story("kept"))]).toEqual([step, [1, 2], [1]]);
    index.forget(2);
    expect([step, ownersOf(index, story(`step ${step}`))]).toEqual([step, [1]]);
  }
});

test("a worker is forgotten at once, however much is known of it", () => {
  const index = createIndex(64 * 1024 * 1024);
  for (let count = 0; count < 2000; count += 1) insert(index, story(`prompt ${count}`, 8192), 7);
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 10; tries += 1) {
    const from = performance.now();
    index.forget(7);
    best = Math.min(best, performance.now() - from);
  }
  expect(best).toBeLessThan(0.5);
  expect(ownersOf(index, story("prompt 5", 8192))).toEqual([]);
});

test("blocks of long prompts become larger, and the share that matches is of bytes", () => {
  const index = createIndex(8 * 1024 * 1024);
  const long = story("long", 5 * 1024 * 1024);
  insert(index, long, 1);
  for (const [bytes, whole] of [
    [127, 0],
    [128, 128],
    [4096, 4096],
    [8447, 8192],
    [8448, 8448],
    [17_000, 16_384],
    [400_000, 393_216],
    [4 * 1024 * 1024, 4 * 1024 * 1024],
  ] as const) {
    expect([bytes, matchedRatio(knownOf(index, long.slice(0, bytes)), bytes)]).toEqual([bytes, whole / bytes]);
  }
  expect(matchedRatio(knownOf(index, long), long.length)).toBe(1);
  expect(matchedRatio(knownOf(index, `${long.slice(0, 300_000)}other${long}`), 400_000)).toBe(294_912 / 400_000);
});

test("prompts that differ in one letter somewhere, differ from that block on", () => {
  const text = story("all alike", 40_000);
  const index = createIndex();
  insert(index, text, 0);
  const whole = knownOf(index, text);
  for (let at = 0; at < text.length; at += 97) {
    const changed = `${text.slice(0, at)}#${text.slice(at + 1)}`;
    const before = blocksEnd(blocksOf(text.slice(0, at)).hashes.length);
    expect([at, knownOf(index, changed)]).toEqual([at, Math.min(before, whole)]);
  }
});

test("stays within its size under prompts without end, and keeps what is used", () => {
  const index = createIndex();
  const kept = story("kept", 1280);
  insert(index, kept, 0);
  for (let count = 0; count < 20_000; count += 1) {
    insert(index, story(`once ${count}`, 512), count % 4);
    if (count % 50 === 0) {
      insert(index, kept, 0);
    }
  }
  expect(knownOf(index, kept)).toBe(1280);
  expect(knownOf(index, story("once 5", 512))).toBe(0);
});

test("keeps a prompt that one worker uses again and again, however much new prompt the others get meanwhile", () => {
  const maxBytes = 16 * MIB;
  const index = createIndex(maxBytes);
  const used = story("the same", 40_000);
  insert(index, used, 0);
  // Eight times what the index has room for.
  for (let other = 0; other < (8 * maxBytes) / 40_000; other += 1) {
    insert(index, story(`other ${other}`, 40_000), 1 + (other % 7));
    if (other % 20 === 0) insert(index, used, 0);
    expect(knownOf(index, used)).toBe(blocksEnd(blocksOf(used).hashes.length));
  }
  expect(ownersOf(index, used)).toEqual([0]);
});

test("tells a prompt from one that differs in its first byte only", () => {
  const index = createIndex();
  insert(index, `a${story("x", 1279)}`, 0);
  expect(knownOf(index, `a${story("x", 1279)}`)).toBe(1280);
  expect(knownOf(index, `b${story("x", 1279)}`)).toBe(0);
});

test("reads bytes that do not begin at a multiple of four", () => {
  const index = createIndex();
  const text = story("aligned", 1280);
  insert(index, text, 0);
  const shifted = new Uint8Array(Buffer.from(`zz${text}`)).subarray(2);
  expect(index.match(hashPrompt(shifted))).toBe(1280);
});

describe("a prompt that a worker got", () => {
  const ann = story("ann", 1280);

  test("counts at once, and as certain from the first token on", () => {
    const index = createIndex();
    insert(index, ann, 3);
    expect(holdersOf(index, ann)).toEqual({ 3: [1280, 0] });
    index.settle(blocksOf(ann), 3);
    expect(holdersOf(index, ann)).toEqual({ 3: [1280, 1280] });
  });

  test("is new only where the worker did not have it, and its bytes without a whole block count as new", () => {
    const index = createIndex();
    index.match(blocksOf(ann));
    expect(index.insert(3)).toBe(1280);
    index.match(blocksOf(`${ann}${story("more", 700)}`));
    expect(index.insert(3)).toBe(700);
    index.match(blocksOf(ann));
    expect([index.insert(3), index.insert(4)]).toEqual([0, 1280]);
  });

  test("is known to whom it was sent, each with its own prefix, the longest first", () => {
    const index = createIndex();
    serve(index, story("ann", 512), 1);
    serve(index, ann, 2);
    insert(index, story("ann", 2560), 1);
    expect(holdersOf(index, story("ann", 4000))).toEqual({ 1: [2560, 512], 2: [1280, 1280] });
    index.match(blocksOf(story("ann", 4000)));
    expect([index.find(1), index.slotAt(0), index.find(2), index.slotAt(1)]).toEqual([1, 1, 2, 2]);
    expect([index.numberOf(2), index.numberOf(1), index.numberOf(3)]).toEqual([1, 0, -1]);
  });

  test("is taken back where no first token came, except for what another request had prefilled", () => {
    const index = createIndex();
    serve(index, story("ann", 512), 1);
    insert(index, ann, 1, 2);
    index.withdraw(blocksOf(ann), 1);
    expect(holdersOf(index, ann)).toEqual({ 1: [512, 512], 2: [1280, 0] });
    index.withdraw(blocksOf(ann), 2);
    expect(holdersOf(index, ann)).toEqual({ 1: [512, 512] });
  });

  test("that a sibling has in flight as well is certain once one of them has its first token", () => {
    const index = createIndex();
    insert(index, `${ann}${story("one", 600)}`, 1);
    insert(index, `${ann}${story("two", 600)}`, 1);
    index.settle(blocksOf(`${ann}${story("one", 600)}`), 1);
    expect(holdersOf(index, `${ann}${story("two", 600)}`)).toEqual({ 1: [1792, 1280] });
    index.withdraw(blocksOf(`${ann}${story("two", 600)}`), 1);
    expect(holdersOf(index, `${ann}${story("two", 600)}`)).toEqual({ 1: [1280, 1280] });
  });

  test("that was withdrawn with a sibling's is there again when the sibling has its first token", () => {
    const index = createIndex();
    insert(index, ann, 1);
    insert(index, ann, 1);
    index.withdraw(blocksOf(ann), 1);
    index.settle(blocksOf(ann), 1);
    expect(holdersOf(index, ann)).toEqual({ 1: [1280, 1280] });
  });

  test("has no block where it is shorter than one, and is still volume", () => {
    const index = createIndex();
    index.setBound(1, 1000);
    index.match(blocksOf("hi"));
    expect([index.find(64), index.insert(1)]).toEqual([0, 2]);
    expect(index.fill(1)).toBeCloseTo(0.002, 4);
  });
});

describe("a worker's bound", () => {
  test("is how much new prompt may come before a block no longer counts", () => {
    const index = createIndex();
    index.setBound(1, 10_000);
    serve(index, story("ann", 1024), 1);
    for (let count = 0; count < 8; count += 1) serve(index, story(`other ${count}`, 1024), 1);
    expect(holdersOf(index, story("ann", 1024))).toEqual({ 1: [1024, 1024] });
    serve(index, story("last", 1024), 1);
    // Its end is dropped first: 9,216 bytes came after it.
    expect(holdersOf(index, story("ann", 1024))).toEqual({ 1: [768, 768] });
    serve(index, story("very last", 1024), 1);
    expect(holdersOf(index, story("ann", 1024))).toEqual({});
  });

  test("is one worker's own", () => {
    const index = createIndex();
    index.setBound(1, 2048);
    index.setBound(2, 1_000_000);
    for (const slot of [1, 2, 3]) serve(index, story("ann", 1024), slot);
    for (let count = 0; count < 50; count += 1) {
      for (const slot of [1, 2, 3]) serve(index, story(`other ${count}`, 1024), slot);
    }
    expect(holdersOf(index, story("ann", 1024))).toEqual({ 2: [1024, 1024], 3: [1024, 1024] });
  });

  test("is not used up by what the worker has already, which stays while it is used", () => {
    const index = createIndex();
    index.setBound(1, 10_000);
    for (let count = 0; count < 1000; count += 1) {
      serve(index, story("ann", 1024), 1);
      if (count % 4 === 0) serve(index, story(`other ${count}`, 1024), 1);
    }
    expect(holdersOf(index, story("ann", 1024))).toEqual({ 1: [1024, 1024] });
    expect(holdersOf(index, story("other 996", 1024))).toEqual({ 1: [1024, 1024] });
    expect(holdersOf(index, story("other 4", 1024))).toEqual({});
  });

  test("fills with what comes, up to one, and is empty when the worker is forgotten", () => {
    const index = createIndex();
    index.setBound(1, 4096);
    const fills = [0, 1, 2, 3, 4, 5, 6].map((count) => {
      if (count > 0) serve(index, story(`prompt ${count}`, 1024), 1);
      return index.fill(1);
    });
    expect(fills).toEqual([0, 0.25, 0.5, 0.75, 1, 1, 1]);
    index.forget(1);
    expect(index.fill(1)).toBe(0);
  });

  test("may change: what is known ages on in shares of it", () => {
    const index = createIndex();
    index.setBound(1, 100_000);
    serve(index, story("ann", 1024), 1);
    index.setBound(1, 4096);
    serve(index, story("bob", 2048), 1);
    expect(holdersOf(index, story("ann", 1024))).toEqual({ 1: [1024, 1024] });
    serve(index, story("cleo", 2048), 1);
    expect(holdersOf(index, story("ann", 1024))).toEqual({});
  });

  test("is never passed by a block that comes back, however much comes and whoever else uses it: as in a list of what came when", () => {
    const bounds = [3000, 20_000, 300];
    const text = (name: number): string => story(`prompt ${name}`, 256);
    const step = fc.record({
      slot: fc.nat(2),
      name: fc.nat(5),
      // Up to many times the bound at once, to make clocks wrap.
      bytes: fc.oneof(fc.nat(400), fc.nat(30_000), fc.constant(500_000)),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 400 }), (steps) => {
        const index = createIndex();
        const model = bounds.map((bound, slot) => {
          index.setBound(slot, bound);
          return { bound, volume: 0, usedAt: new Map<number, number>() };
        });
        for (const { slot, name, bytes } of steps) {
          const one = model[slot];
          if (!one) throw new Error("no such worker");
          const isKnown = holdersOf(index, text(name))[slot] !== undefined;
          serve(index, text(name), slot);
          if (!isKnown) one.volume += 256;
          one.usedAt.set(name, one.volume);
          // Short of a block: nothing but volume.
          for (let left = bytes; left > 0; left -= 100) {
            index.match({ hashes: new Int32Array(0), bytes: Math.min(left, 100) });
            index.insert(slot);
          }
          one.volume += bytes;
        }
        for (const [slot, { bound, volume, usedAt }] of model.entries()) {
          for (const [name, at] of usedAt) {
            const held = holdersOf(index, text(name))[slot]?.[0] ?? 0;
            const age = volume - at;
            const context = JSON.stringify({ slot, name, age, bound, held });
            // A unit of the stamp, and what is rounded in each step.
            const slack = bound / 100 + 2;
            if (age + 256 < bound - slack) expect([context, held]).toEqual([context, 256]);
            if (age + 128 > bound + slack) expect([context, held]).toEqual([context, 0]);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("a worker with KV events", () => {
  const ann = story("ann", 1024);

  test("has what they name, however much comes, until they take it back", () => {
    const index = createIndex();
    index.setBound(1, 2048);
    index.setExact(1, true);
    index.store(1, blocksOf(ann).hashes);
    for (let count = 0; count < 50; count += 1) insert(index, story(`other ${count}`, 1024), 1);
    expect(holdersOf(index, ann)).toEqual({ 1: [1024, 1024] });
    expect(holdersOf(index, story("other 0", 1024))).toEqual({});
    index.remove(1, blocksOf(ann).hashes.slice(4));
    expect(holdersOf(index, ann)).toEqual({ 1: [512, 512] });
  });

  test("has what is in flight as well, for certain once they name it", () => {
    const index = createIndex();
    index.setExact(1, true);
    index.store(1, blocksOf(ann).hashes.slice(0, 4));
    insert(index, ann, 1);
    expect(holdersOf(index, ann)).toEqual({ 1: [1024, 512] });
    index.store(1, blocksOf(ann).hashes.slice(4));
    expect(holdersOf(index, ann)).toEqual({ 1: [1024, 1024] });
  });

  test("has it for certain from the first token on, in a block that many have as well", () => {
    const index = createIndex();
    index.setExact(1, true);
    insert(index, ann, ...Array.from({ length: 20 }, (_, slot) => slot));
    index.settle(blocksOf(ann), 1);
    const held = holdersOf(index, ann);
    expect([held[1], held[2]]).toEqual([
      [1024, 1024],
      [1024, 0],
    ]);
  });

  test("ages like any other when they are no longer complete", () => {
    const index = createIndex();
    index.setBound(1, 4096);
    index.setExact(1, true);
    index.store(1, blocksOf(ann).hashes);
    for (let count = 0; count < 50; count += 1) insert(index, story(`before ${count}`, 1024), 1);
    index.setExact(1, false);
    insert(index, story("after", 2048), 1);
    expect(holdersOf(index, ann)).toEqual({ 1: [1024, 1024] });
    insert(index, story("and after", 2048), 1);
    expect(holdersOf(index, ann)).toEqual({});
  });

  test("that is forgotten has what they name from then on, which ages until they are complete again", () => {
    const index = createIndex();
    index.setExact(1, true);
    index.store(1, blocksOf(ann).hashes);
    index.forget(1);
    expect(holdersOf(index, ann)).toEqual({});
    index.setBound(1, 2048);
    index.store(1, blocksOf(ann).hashes);
    expect(holdersOf(index, ann)).toEqual({ 1: [1024, 1024] });
    insert(index, story("after", 4096), 1);
    expect(holdersOf(index, ann)).toEqual({});
  });
});

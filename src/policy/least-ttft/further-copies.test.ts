import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import { blocksEnd, type PromptBlocks } from "../prefix-blocks.ts";
import { FurtherCopies } from "./further-copies.ts";
import { leastTtft } from "./least-ttft.ts";
import { stateBytes } from "./shared-layout.ts";
import { COST, DECODE, MATCHED_BYTES, PREFILL_S, ROW, SLOT, WAITING, WAITING_S, Weighed, WORK } from "./weighed.ts";

/** A worker as it was weighed, s; `blocks` of the prompt match there. */
interface Row {
  readonly blocks: number;
  readonly prefillS: number;
  readonly waitingS?: number;
  readonly decode?: number;
}

const PROMPT: PromptBlocks = { hashes: Int32Array.of(11, 12, 13), bytes: blocksEnd(3) + 20 };
/** A prefill of 50 ms after the shared prefix, and one of 150 ms with it. */
const OWNER: Row = { blocks: 2, prefillS: 0.05, waitingS: 0.03 };
const FREE: Row = { blocks: 0, prefillS: 0.15 };

function createCopies(): FurtherCopies {
  return new FurtherCopies(new Float64Array(stateBytes(1) / 8));
}

function weighedOf(rows: readonly Row[], now = 100, prompt = PROMPT): Weighed {
  const weighed = new Weighed();
  weighed.now = now;
  weighed.prompt = prompt;
  for (const [at, { blocks, prefillS, waitingS = 0, decode = 0 }] of rows.entries()) {
    const row = at * ROW;
    weighed.cells[row + SLOT] = at;
    weighed.cells[row + MATCHED_BYTES] = blocksEnd(blocks);
    weighed.cells[row + PREFILL_S] = prefillS;
    weighed.cells[row + WORK] = prefillS * 8000;
    weighed.cells[row + WAITING_S] = waitingS;
    weighed.cells[row + WAITING] = waitingS;
    weighed.cells[row + DECODE] = decode;
    weighed.cells[row + COST] = prefillS + waitingS + decode;
    weighed.count += 1;
  }
  return weighed;
}

/** After how many requests that stay at the first worker one is sent to another; -1 where none of so many is. */
function staysOf(copies: FurtherCopies, requests: number, weighed: (request: number) => Weighed): number {
  for (let request = 0; request < requests; request += 1) {
    if (copies.placeInstead(weighed(request), 0) >= 0) return request;
  }
  return -1;
}

describe("a prefix gets a further copy", () => {
  test("once requests have lost as much behind others as the next one loses by it", () => {
    // The copy is 70 ms dearer, and each request waits 30 ms: three of them lose 90.
    expect(staysOf(createCopies(), 9, () => weighedOf([OWNER, FREE]))).toBe(3);
  });

  test("at the cheapest of the workers that do nothing", () => {
    const copies = createCopies();
    const rows = [OWNER, { ...FREE, decode: 0.001 }, { ...FREE, prefillS: 0.16 }, FREE];
    staysOf(copies, 2, () => weighedOf(rows));
    expect(copies.placeInstead(weighedOf(rows), 0)).toBe(-1);
    expect(copies.placeInstead(weighedOf(rows), 0)).toBe(3);
  });

  test("and what was lost until then counts no more for the one after", () => {
    const copies = createCopies();
    const weighed = (): Weighed => weighedOf([OWNER, FREE]);
    expect([staysOf(copies, 9, weighed), staysOf(copies, 9, weighed)]).toEqual([3, 3]);
  });

  test("not while every other worker is at work, or has the prefix as well", () => {
    const others: readonly Row[] = [
      { ...FREE, waitingS: 0.001 },
      { ...FREE, decode: 0.001 },
      { ...FREE, blocks: 2 },
    ];
    expect(staysOf(createCopies(), 99, () => weighedOf([OWNER, ...others]))).toBe(-1);
  });

  test("not while the worker that has it does nothing either, though others are thought to be faster", () => {
    const owner = { ...OWNER, waitingS: 0, prefillS: 0.06 };
    expect(staysOf(createCopies(), 99, () => weighedOf([owner, FREE]))).toBe(-1);
  });

  test("not for requests that nobody shares a prefix with, and what they lose does not add up", () => {
    const ownPrompt = (request: number): PromptBlocks => ({ ...PROMPT, hashes: Int32Array.of(11, 1000 + request, 13) });
    expect(staysOf(createCopies(), 99, (request) => weighedOf([OWNER, FREE], 100, ownPrompt(request)))).toBe(-1);
    const none = { ...OWNER, blocks: 0 };
    expect(staysOf(createCopies(), 99, () => weighedOf([none, FREE]))).toBe(-1);
  });

  test("not for a conversation that goes on, however long its requests wait", () => {
    const turn = (request: number): PromptBlocks => ({ ...PROMPT, bytes: PROMPT.bytes + request });
    expect(staysOf(createCopies(), 60, (request) => weighedOf([OWNER, FREE], 100, turn(request)))).toBe(-1);
    // Two conversations with one beginning, in turns.
    const turnOfTwo = (request: number): PromptBlocks => ({
      hashes: Int32Array.of(11, 12, request % 2 === 0 ? 13 : 14),
      bytes: PROMPT.bytes + request,
    });
    expect(staysOf(createCopies(), 60, (request) => weighedOf([OWNER, FREE], 100, turnOfTwo(request)))).toBe(3);
  });

  test("not for losses so far apart that a copy would serve few", () => {
    expect(staysOf(createCopies(), 99, (request) => weighedOf([OWNER, FREE], 100 + 120 * request))).toBe(-1);
  });

  test("whatever requests lose: those that stay have lost less than the last one's copy is dearer, and one request more", () => {
    const waits = fc.array(fc.double({ min: 0.001, max: 0.09, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(waits, (all) => {
        const copies = createCopies();
        let lost = 0;
        for (const waitingS of all) {
          const weighed = weighedOf([{ ...OWNER, waitingS }, FREE]);
          const dearer = weighed.of(1, COST) - weighed.of(0, COST);
          const isCopied = copies.placeInstead(weighed, 0) === 1;
          expect(isCopied).toBe(lost >= dearer);
          lost = isCopied ? 0 : lost + waitingS;
        }
      }),
    );
  });
});

describe("in a fleet", () => {
  const system = text("system prompt", 4000);

  /** Requests with one system prompt, each behind one that has just begun to be prefilled at the same worker. */
  function slotsOf(count: number): {
    readonly slots: readonly number[];
    readonly reasons: readonly (string | undefined)[];
  } {
    const fleet = new PolicyFleet({ workers: 4 });
    const policy = fleet.create(leastTtft);
    fleet.send(policy, streamOf(system, "first")).firstToken().end();
    const slots: number[] = [];
    const reasons: (string | undefined)[] = [];
    for (let number = 0; number < count; number += 1) {
      fleet.nowMs += 500;
      const pair = ["one", "other"].map((name) => fleet.send(policy, streamOf(system, text(`${name} ${number}`, 400))));
      for (const sent of pair) {
        fleet.nowMs += 15;
        sent.firstToken().end();
        slots.push(sent.slot);
        reasons.push(sent.picked.reason);
      }
    }
    return { slots, reasons };
  }

  test("a system prompt does not stay at one worker for which requests wait while the others have nothing to do", () => {
    const { slots, reasons } = slotsOf(40);
    expect(new Set(slots.slice(0, 4)).size).toBe(1);
    expect(new Set(slots).size).toBeGreaterThan(1);
    expect(reasons.filter((reason) => reason === "further_copy").length).toBeGreaterThan(0);
    // Nobody waits any more once there are two copies, so there are no further ones.
    expect(new Set(slots).size).toBe(2);
  });
});

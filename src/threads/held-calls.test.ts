import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Permit } from "../server/admission.ts";
import { GatewayError } from "../errors/errors.ts";
import { HeldCalls } from "./held-calls.ts";

/** A place that counts its releases. */
function place(): Permit & { released: number } {
  const permit = {
    released: 0,
    release: () => {
      permit.released += 1;
    },
  };
  return permit;
}

describe("what is held for the calls of a thread", () => {
  test("a place is held from the grant until the call is released, and given back once", async () => {
    const calls = new HeldCalls();
    const permit = place();
    expect(await calls.answer(1, () => Promise.resolve(permit))).toBe(permit);
    expect([calls.size, permit.released]).toEqual([1, 0]);
    calls.release(1);
    calls.release(1);
    expect([calls.size, permit.released]).toEqual([0, 1]);
  });

  test("a call that is released while it waits is called off, and the place it gets goes back", async () => {
    const calls = new HeldCalls();
    const permit = place();
    const granting = Promise.withResolvers<Permit>();
    let isCalledOff = false;
    const answer = calls.answer(1, (signal) => {
      signal.addEventListener("abort", () => {
        isCalledOff = true;
      });
      return granting.promise;
    });
    calls.release(1);
    expect(isCalledOff).toBe(true);
    granting.resolve(permit);
    expect(await answer).toBeUndefined();
    expect([calls.size, permit.released]).toEqual([0, 1]);
  });

  test("a call that is released in the turn of its grant holds nothing", async () => {
    const calls = new HeldCalls();
    const permit = place();
    const granting = Promise.withResolvers<Permit>();
    const answer = calls.answer(1, () => granting.promise);
    granting.resolve(permit);
    calls.release(1);
    await answer;
    expect([calls.size, permit.released]).toEqual([0, 1]);
  });

  test("an answer that is no place is held by nobody, nor is a refusal", async () => {
    const calls = new HeldCalls();
    expect(await calls.answer(1, () => Promise.resolve({ status: 200 }))).toEqual({ status: 200 });
    const refusal = new GatewayError("queue_full", "full");
    expect(await calls.answer(2, () => Promise.reject(refusal)).catch((error: unknown) => error)).toBe(refusal);
    expect(calls.size).toBe(0);
  });

  test("whatever the order of grants and releases, and wherever the thread ends, each place goes back once", async () => {
    const step = fc.record({ what: fc.constantFrom("ask", "grant", "release", "turn", "end"), id: fc.nat(5) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const calls = new HeldCalls();
        const granted: ReturnType<typeof place>[] = [];
        const asked = new Map<number, (permit: Permit) => void>();
        for (const { what, id } of steps) {
          if (what === "ask" && !asked.has(id)) {
            void calls.answer(id, () => {
              const { promise, resolve } = Promise.withResolvers<Permit>();
              asked.set(id, resolve);
              return promise;
            });
          } else if (what === "grant") {
            const permit = place();
            const grant = asked.get(id);
            if (!grant) continue;
            granted.push(permit);
            grant(permit);
            // A promise takes only the first result.
            asked.set(id, (other) => other.release());
          } else if (what === "release") calls.release(id);
          else if (what === "turn") await Promise.resolve();
          else if (what === "end") calls.close();
        }
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        calls.close();
        expect([calls.size, granted.map(({ released }) => released)]).toEqual([0, granted.map(() => 1)]);
      }),
      { numRuns: 300 },
    );
  });
});

import { expect, test } from "bun:test";
import fc from "fast-check";
import { GatewayError } from "../errors/errors.ts";
import { ManualClock } from "../util/clock.ts";
import { Admission, type Permit } from "./admission.ts";

const signal = new AbortController().signal;

function create(maxConcurrent: number, queueSize: number): { admission: Admission; clock: ManualClock } {
  const clock = new ManualClock();
  return { admission: new Admission({ maxConcurrent, queueSize, queueTimeoutMs: 1000 }, clock), clock };
}

function codeOf(error: unknown): string {
  return error instanceof GatewayError ? error.code : String(error);
}

test("a place is had at once while there is one", () => {
  const { admission } = create(2, 0);
  expect(admission.acquire(signal)).not.toBeInstanceOf(Promise);
  expect(admission.acquire(signal)).not.toBeInstanceOf(Promise);
  expect(admission.admitted).toBe(2);
});

test("past the limit requests wait in order, past the queue they are refused with Retry-After", async () => {
  const { admission } = create(1, 2);
  const held = admission.acquire(signal) as Permit;
  const order: string[] = [];
  const second = Promise.resolve(admission.acquire(signal)).then((permit) => (order.push("second"), permit));
  const third = Promise.resolve(admission.acquire(signal)).then((permit) => (order.push("third"), permit));
  try {
    void admission.acquire(signal);
    expect.unreachable();
  } catch (error) {
    expect(codeOf(error)).toBe("queue_full");
    expect((error as GatewayError).details.retryAfterSecs).toBeGreaterThanOrEqual(1);
  }
  held.release();
  (await second).release();
  (await third).release();
  expect(order).toEqual(["second", "third"]);
  expect([admission.admitted, admission.waiting]).toEqual([0, 0]);
});

test("who waits for too long is told so", async () => {
  const { admission, clock } = create(1, 1);
  void admission.acquire(signal);
  const waiting = Promise.resolve(admission.acquire(signal)).catch(codeOf);
  clock.advance(1000);
  expect(await waiting).toBe("queue_timeout");
  expect(admission.waiting).toBe(0);
});

test("who leaves the line frees its place in it, and is never served", async () => {
  const { admission } = create(1, 1);
  const held = admission.acquire(signal) as Permit;
  const leaving = new AbortController();
  const gone = Promise.resolve(admission.acquire(leaving.signal)).catch(codeOf);
  leaving.abort(new Error("left"));
  expect(await gone).toBe("client_closed");
  const next = Promise.resolve(admission.acquire(signal));
  held.release();
  expect(await next).toBeDefined();
  expect(admission.admitted).toBe(1);
});

test("releasing twice gives back one place", () => {
  const { admission } = create(2, 0);
  const permit = admission.acquire(signal) as Permit;
  void admission.acquire(signal);
  permit.release();
  permit.release();
  expect(admission.admitted).toBe(1);
});

test("under any order of coming, going and leaving no place is lost or made", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom("come", "go", "leave", "wait"), { maxLength: 60 }), async (steps) => {
      const { admission, clock } = create(3, 4);
      const permits: Permit[] = [];
      const leavers: AbortController[] = [];
      for (const step of steps) {
        if (step === "come") {
          const leaver = new AbortController();
          try {
            const place = admission.acquire(leaver.signal);
            if (place instanceof Promise) {
              leavers.push(leaver);
              place.then((permit) => permits.push(permit)).catch(() => undefined);
            } else permits.push(place);
          } catch (error) {
            expect(codeOf(error)).toBe("queue_full");
          }
        } else if (step === "go") permits.shift()?.release();
        else if (step === "leave") leavers.shift()?.abort(new Error("left"));
        else clock.advance(400);
        await Promise.resolve();
        await Promise.resolve();
        expect(admission.admitted).toBeLessThanOrEqual(3);
        expect(admission.waiting).toBeLessThanOrEqual(4);
      }
      clock.advance(2000);
      for (let round = 0; round < 10; round += 1) {
        while (permits.length > 0) permits.shift()?.release();
        await Promise.resolve();
        await Promise.resolve();
      }
      expect([admission.admitted, admission.waiting]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});

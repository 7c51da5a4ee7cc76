import { expect, test } from "bun:test";
import fc from "fast-check";
import { GatewayError } from "../errors/errors.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { Admission, type Claim, GATEWAY, type Permit } from "./admission.ts";

const signal = new AbortController().signal;

interface SetUp {
  readonly admission: Admission;
  readonly clock: ManualClock;
  acquire(signal: AbortSignal, claim?: Partial<Claim>): Permit | Promise<Permit>;
}

function create(places: number, queueSize: number): SetUp {
  const clock = new ManualClock();
  const admission = new Admission({ queueSize, queueTimeoutMs: 1000 }, clock);
  const usual: Claim = { kind: GATEWAY, places, priority: "normal", patienceMs: Number.POSITIVE_INFINITY };
  return { admission, clock, acquire: (by, claim = {}) => admission.acquire({ ...usual, ...claim }, by) };
}

function codeOf(error: unknown): string {
  return error instanceof GatewayError ? error.code : String(error);
}

test("a place is had at once while there is one", () => {
  const { admission, acquire } = create(2, 0);
  expect(acquire(signal)).not.toBeInstanceOf(Promise);
  expect(acquire(signal)).not.toBeInstanceOf(Promise);
  expect(admission.admitted(GATEWAY)).toBe(2);
});

test("past the limit requests wait in order, past the queue they are refused with Retry-After", async () => {
  const { admission, acquire } = create(1, 2);
  const held = acquire(signal) as Permit;
  const order: string[] = [];
  const second = Promise.resolve(acquire(signal)).then((permit) => (order.push("second"), permit));
  const third = Promise.resolve(acquire(signal)).then((permit) => (order.push("third"), permit));
  try {
    void acquire(signal);
    expect.unreachable();
  } catch (error) {
    expect(codeOf(error)).toBe("queue_full");
    expect((error as GatewayError).details.retryAfterSecs).toBeGreaterThanOrEqual(1);
  }
  held.release();
  (await second).release();
  (await third).release();
  expect(order).toEqual(["second", "third"]);
  expect([admission.admitted(GATEWAY), admission.waiting]).toEqual([0, 0]);
});

test("who waits for too long is told so", async () => {
  const { admission, clock, acquire } = create(1, 1);
  void acquire(signal);
  const waiting = Promise.resolve(acquire(signal)).catch(codeOf);
  clock.advance(1000);
  expect(await waiting).toBe("queue_timeout");
  expect(admission.waiting).toBe(0);
});

test("who leaves the line frees its place in it, and is never served", async () => {
  const { admission, acquire } = create(1, 1);
  const held = acquire(signal) as Permit;
  const leaving = new AbortController();
  const gone = Promise.resolve(acquire(leaving.signal)).catch(codeOf);
  leaving.abort(new Error("left"));
  expect(await gone).toBe("client_closed");
  const next = Promise.resolve(acquire(signal));
  held.release();
  expect(await next).toBeDefined();
  expect(admission.admitted(GATEWAY)).toBe(1);
});

test("releasing twice gives back one place", () => {
  const { admission, acquire } = create(2, 0);
  const permit = acquire(signal) as Permit;
  void acquire(signal);
  permit.release();
  permit.release();
  expect(admission.admitted(GATEWAY)).toBe(1);
});

test("under any order of coming, going and leaving no place is lost or made", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom("come", "go", "leave", "wait"), { maxLength: 60 }), async (steps) => {
      const { admission, clock, acquire } = create(3, 4);
      const permits: Permit[] = [];
      const leavers: AbortController[] = [];
      for (const step of steps) {
        if (step === "come") {
          const leaver = new AbortController();
          try {
            const place = acquire(leaver.signal);
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
        expect(admission.admitted(GATEWAY)).toBeLessThanOrEqual(3);
        expect(admission.waiting).toBeLessThanOrEqual(4);
      }
      clock.advance(2000);
      for (let round = 0; round < 10; round += 1) {
        while (permits.length > 0) permits.shift()?.release();
        await Promise.resolve();
        await Promise.resolve();
      }
      expect([admission.admitted(GATEWAY), admission.waiting]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});

test("a higher class is served first, within a class who came first", async () => {
  const { acquire } = create(1, 10);
  const held = acquire(signal) as Permit;
  const order: string[] = [];
  const come = async (name: string, priority: Claim["priority"]): Promise<void> => {
    const permit = await acquire(signal, { priority });
    order.push(name);
    permit.release();
  };
  const all = [come("low", "low"), come("one", "normal"), come("two", "normal"), come("high", "high")];
  held.release();
  await Promise.all(all);
  expect(order).toEqual(["high", "one", "two", "low"]);
});

test("kinds of places are apart, and one that nobody holds is forgotten", () => {
  const { admission, acquire } = create(1, 0);
  const permit = acquire(signal, { kind: "model a" }) as Permit;
  expect(acquire(signal, { kind: "model b" })).not.toBeInstanceOf(Promise);
  expect(() => acquire(signal, { kind: "model a" })).toThrow("queue is full");
  permit.release();
  expect(admission.admitted("model a")).toBe(0);
});

test("who would not wait for its turn is refused at once, with the time that it would take", () => {
  const { acquire, clock } = create(1, 10);
  let held = acquire(signal) as Permit;
  for (let count = 0; count < 50; count += 1) {
    clock.advance(900);
    held.release();
    held = acquire(signal) as Permit;
  }
  void acquire(signal);
  expect(() => acquire(signal, { patienceMs: 1000 })).toThrow("longer than the client will wait");
  expect(acquire(signal, { patienceMs: 5000 })).toBeInstanceOf(Promise);
});

test("at the end all who wait are refused", async () => {
  const { admission, acquire } = create(1, 10);
  void acquire(signal);
  const waiting = Promise.resolve(acquire(signal)).catch(codeOf);
  admission.refuseAll(new GatewayError("server_shutting_down", "bye"));
  expect(await waiting).toBe("server_shutting_down");
});

test("more places go to those who wait, at once and in their order", async () => {
  const { admission, acquire } = create(1, 9);
  void acquire(signal);
  const order: number[] = [];
  for (const number of [1, 2, 3]) void Promise.resolve(acquire(signal)).then(() => order.push(number));
  admission.replace({ queueSize: 9, queueTimeoutMs: 1000 }, () => 3);
  await Promise.resolve();
  await Promise.resolve();
  expect([order, admission.admitted(GATEWAY), admission.waiting]).toEqual([[1, 2], 3, 1]);
  admission.replace({ queueSize: 9, queueTimeoutMs: 1000 }, () => Number.POSITIVE_INFINITY);
  expect([admission.admitted(GATEWAY), admission.waiting]).toEqual([4, 0]);
});

test("with fewer places nobody is ended, and a free place is not given on until as many are left", async () => {
  const { admission, acquire } = create(3, 9);
  const held = [acquire(signal), acquire(signal), acquire(signal)] as Permit[];
  let isIn = false;
  const waiting = Promise.resolve(acquire(signal)).then((permit) => {
    isIn = true;
    return permit;
  });
  admission.replace({ queueSize: 9, queueTimeoutMs: 1000 }, () => 1);
  held[0]?.release();
  held[1]?.release();
  await Promise.resolve();
  expect([isIn, admission.admitted(GATEWAY)]).toEqual([false, 1]);
  held[2]?.release();
  (await waiting).release();
  expect([admission.admitted(GATEWAY), admission.waiting]).toEqual([0, 0]);
});

test("a shorter queue refuses new requests, and keeps those that wait", () => {
  const { admission, acquire } = create(1, 9);
  void acquire(signal);
  void Promise.resolve(acquire(signal)).catch(() => undefined);
  admission.replace({ queueSize: 1, queueTimeoutMs: 1000 }, () => 1);
  expect(() => acquire(signal)).toThrow("the queue is full");
  expect(admission.waiting).toBe(1);
});

test("whatever changes, no more are let in than there are places, and nobody is forgotten", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("acquire" as const) }),
    fc.record({ kind: fc.constant("release" as const) }),
    fc.record({ kind: fc.constant("replace" as const), places: fc.integer({ min: 1, max: 5 }) }),
  );
  return fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const clock = new ManualClock();
      const admission = new Admission({ queueSize: 1000, queueTimeoutMs: 1000 }, clock);
      let places = 3;
      let asked = 0;
      let most = 0;
      const held: Permit[] = [];
      const letIn = (permit: Permit): void => void held.push(permit);
      for (const one of steps) {
        if (one.kind === "acquire") {
          asked += 1;
          const claim: Claim = { kind: GATEWAY, places, priority: "normal", patienceMs: Number.POSITIVE_INFINITY };
          const permit = admission.acquire(claim, signal);
          if (permit instanceof Promise) void permit.then(letIn);
          else letIn(permit);
        } else if (one.kind === "release") {
          if (held.length > 0) asked -= 1;
          held.shift()?.release();
        } else {
          ({ places } = one);
          admission.replace({ queueSize: 1000, queueTimeoutMs: 1000 }, () => places);
        }
        for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
        // Those who were in before a bound was lowered stay.
        most = Math.max(places, Math.min(most, held.length));
        expect(held.length).toBeLessThanOrEqual(most);
        expect([held.length + admission.waiting, held.length >= Math.min(asked, places)]).toEqual([asked, true]);
      }
    }),
  );
});

import { expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { Permit, Priority } from "./admission.ts";
import type { Tenant } from "./auth.ts";
import { type Entry, type GateSettings, LocalGate, patienceOf, priorityOf } from "./gate.ts";

const signal = new AbortController().signal;
const FREE = Number.POSITIVE_INFINITY;
const TENANT: Tenant = { name: "a", priority: "normal", maxConcurrent: FREE, requestsPerMinute: FREE };

function entry(tenant: Partial<Tenant> = {}): Entry {
  return { tenant: { ...TENANT, ...tenant }, priority: "normal", patienceMs: FREE };
}

function create(settings: Partial<GateSettings> = {}): { gate: LocalGate; clock: ManualClock } {
  const clock = new ManualClock();
  const usual = { maxConcurrent: FREE, maxConcurrentOf: () => FREE, queueSize: 10, queueTimeoutMs: 1000 };
  return { gate: new LocalGate({ ...usual, ...settings }, clock), clock };
}

function refusal(action: () => unknown): unknown[] {
  try {
    action();
    return [];
  } catch (error) {
    return error instanceof GatewayError ? [error.code, error.status, error.details.retryAfterSecs] : [error];
  }
}

test("a tenant's own limit is told as its own, and others go on", () => {
  const { gate } = create();
  const held = gate.enter(entry({ maxConcurrent: 1 }), signal) as Permit;
  expect(refusal(() => gate.enter(entry({ maxConcurrent: 1 }), signal))).toEqual(["rate_limit_exceeded", 429, 1]);
  expect(gate.enter(entry({ name: "b", maxConcurrent: 1 }), signal)).toBeDefined();
  held.release();
  expect(refusal(() => gate.enter(entry({ maxConcurrent: 1 }), signal))).toEqual([]);
});

test("so many a minute, with the time until the next", () => {
  const { gate, clock } = create();
  const come = (): unknown[] => refusal(() => gate.enter(entry({ requestsPerMinute: 6 }), signal));
  for (let count = 0; count < 6; count += 1) expect(come()).toEqual([]);
  expect(come()).toEqual(["rate_limit_exceeded", 429, 10]);
  clock.advance(10_000);
  expect(come()).toEqual([]);
  expect(come()).toEqual(["rate_limit_exceeded", 429, 10]);
});

test("who is refused by the gateway does not stay counted as the tenant's", async () => {
  const { gate, clock } = create({ maxConcurrent: 1, queueSize: 1 });
  const limits = { maxConcurrent: 3 };
  const held = gate.enter(entry(limits), signal) as Permit;
  const waiting = Promise.resolve(gate.enter(entry(limits), signal)).catch((error: unknown) => error);
  expect(refusal(() => gate.enter(entry(limits), signal))[0]).toBe("queue_full");
  clock.advance(1000);
  expect(await waiting).toMatchObject({ code: "queue_timeout" });
  held.release();
  for (let count = 0; count < 5; count += 1) (gate.enter(entry(limits), signal) as Permit).release();
  expect([gate.admitted, gate.waiting]).toEqual([0, 0]);
});

test("the places of a model are its own", async () => {
  const { gate } = create({ maxConcurrentOf: (model) => (model === "small" ? 1 : FREE) });
  const held = gate.enterModel("small", entry(), signal) as Permit;
  expect(gate.enterModel("large", entry(), signal)).not.toBeInstanceOf(Promise);
  const next = gate.enterModel("small", entry(), signal);
  expect(next).toBeInstanceOf(Promise);
  held.release();
  (await next).release();
});

test("a client may ask for less than its class and not for more", () => {
  const cases: readonly [own: Priority, asked: string | null, got: Priority][] = [
    ["normal", null, "normal"],
    ["normal", "low", "low"],
    ["normal", "high", "normal"],
    ["high", "low", "low"],
    ["high", "nonsense", "high"],
  ];
  for (const [own, asked, got] of cases) expect(priorityOf({ ...TENANT, priority: own }, asked)).toBe(got);
});

test("SDKs say how long they wait", () => {
  expect(patienceOf(new Headers({ "x-stainless-timeout": "2.5" }))).toBe(2500);
  expect(patienceOf(new Headers({ "x-stainless-timeout": "soon" }))).toBe(FREE);
  expect(patienceOf(new Headers())).toBe(FREE);
});

test("who would be refused can be told before, and nothing is taken by that", async () => {
  const { gate } = create({ maxConcurrent: 1, queueSize: 1 });
  const limits = { maxConcurrent: 3, requestsPerMinute: 3 };
  const look = (): unknown => refusal(() => gate.foresee(entry(limits), signal))[0];
  for (let count = 0; count < 10; count += 1) expect(look()).toBeUndefined();
  const held = gate.enter(entry(limits), signal) as Permit;
  expect(look()).toBeUndefined();
  const waiting = gate.enter(entry(limits), signal) as Promise<Permit>;
  expect([look(), gate.admitted, gate.waiting]).toEqual(["queue_full", 1, 1]);
  held.release();
  expect(look()).toBeUndefined();
  (await waiting).release();
  (gate.enter(entry(limits), signal) as Permit).release();
  expect(look()).toBe("rate_limit_exceeded");
});

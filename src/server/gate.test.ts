import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { refusal } from "../../test/support/refusal.ts";
import type { Priority } from "../keys/principal.ts";
import type { Permit } from "./admission.ts";
import { type Entry, type GateSettings, LocalGate, patienceOf, priorityOf } from "./gate.ts";

const signal = new AbortController().signal;
const FREE = Number.POSITIVE_INFINITY;
const ENTRY: Entry = { client: "a", priority: "normal", patienceMs: FREE };

function create(settings: Partial<GateSettings> = {}): { gate: LocalGate; clock: ManualClock } {
  const clock = new ManualClock();
  const usual = { maxConcurrent: FREE, maxConcurrentOf: () => FREE, queueSize: 10, queueTimeoutMs: 1000 };
  return { gate: new LocalGate({ ...usual, ...settings }, clock), clock };
}

test("the places of a model are its own", async () => {
  const { gate } = create({ maxConcurrentOf: (model) => (model === "small" ? 1 : FREE) });
  const held = gate.enterModel("small", ENTRY, signal) as Permit;
  expect(gate.enterModel("large", ENTRY, signal)).not.toBeInstanceOf(Promise);
  const next = gate.enterModel("small", ENTRY, signal);
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
  for (const [own, asked, got] of cases) expect(priorityOf({ priority: own }, asked)).toBe(got);
});

test("SDKs say how long they wait", () => {
  expect(patienceOf(new Headers({ "x-stainless-timeout": "2.5" }))).toBe(2500);
  expect(patienceOf(new Headers({ "x-stainless-timeout": "soon" }))).toBe(FREE);
  expect(patienceOf(new Headers())).toBe(FREE);
});

test("who would be refused can be told before, and nothing is taken by that", async () => {
  const { gate } = create({ maxConcurrent: 1, queueSize: 1 });
  const look = (): unknown => refusal(() => gate.foresee(ENTRY, signal))[0];
  for (let count = 0; count < 10; count += 1) expect(look()).toBeUndefined();
  const held = gate.enter(ENTRY, signal) as Permit;
  expect(look()).toBeUndefined();
  const waiting = gate.enter(ENTRY, signal) as Promise<Permit>;
  expect([look(), gate.admitted, gate.waiting]).toEqual(["queue_full", 1, 1]);
  held.release();
  expect(look()).toBeUndefined();
  (await waiting).release();
});

import { expect, test } from "bun:test";
import { LeaveController, type LeaveSignal } from "./leave-signal.ts";

/** Both are used through one interface, so the same tests must pass for both. */
const KINDS: Record<string, () => { readonly signal: LeaveSignal; leave(reason: unknown): void }> = {
  "a LeaveController": () => {
    const signal = new LeaveController();
    return { signal, leave: (reason) => signal.leave(reason) };
  },
  "an AbortSignal": () => {
    const controller = new AbortController();
    return { signal: controller.signal, leave: (reason) => controller.abort(reason) };
  },
};

for (const [name, create] of Object.entries(KINDS)) {
  test(`${name} says that somebody has left, and why`, () => {
    const { signal, leave } = create();
    expect([signal.aborted, signal.reason]).toEqual([false, undefined]);
    leave("gone");
    expect([signal.aborted, signal.reason]).toEqual([true, "gone"]);
  });

  test(`${name} calls those who listen once, in their order, and the first reason stays`, () => {
    const { signal, leave } = create();
    const calls: unknown[] = [];
    signal.addEventListener("abort", () => calls.push(["a", signal.aborted, signal.reason]));
    signal.addEventListener("abort", () => calls.push("b"), { once: true });
    leave("gone");
    leave("again");
    expect([calls, signal.reason]).toEqual([[["a", true, "gone"], "b"], "gone"]);
  });

  test(`${name} does not call who no longer listens, nor who began to after it`, () => {
    const { signal, leave } = create();
    const calls: string[] = [];
    const a = (): number => calls.push("a");
    const never = (): number => calls.push("never");
    signal.addEventListener("abort", a);
    signal.addEventListener("abort", () => calls.push("b"));
    signal.removeEventListener("abort", never);
    signal.removeEventListener("abort", a);
    leave("gone");
    signal.addEventListener("abort", never);
    leave("again");
    expect(calls).toEqual(["b"]);
  });

  test(`${name} lets who is called stop listening, and begin to`, () => {
    const { signal, leave } = create();
    const calls: string[] = [];
    const first = (): void => {
      calls.push("first");
      signal.removeEventListener("abort", first);
      signal.addEventListener("abort", () => calls.push("late"));
    };
    signal.addEventListener("abort", first);
    signal.addEventListener("abort", () => calls.push("second"));
    leave("gone");
    expect(calls).toEqual(["first", "second"]);
  });

  test(`${name} does not call who was told by another who was called to stop listening`, () => {
    const { signal, leave } = create();
    const calls: string[] = [];
    const second = (): number => calls.push("second");
    signal.addEventListener("abort", () => signal.removeEventListener("abort", second));
    signal.addEventListener("abort", second);
    leave("gone");
    expect(calls).toEqual([]);
  });
}

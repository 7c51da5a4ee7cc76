import { expect, test } from "bun:test";
import { LeaveController } from "./leave-signal.ts";
import { untilLeft } from "./until-left.ts";

const never = new Promise<string>(() => undefined);
const left = new Error("the client left");

test("work that ends first is the answer, and so is its failure", async () => {
  const signal = new LeaveController();
  expect(await untilLeft(Promise.resolve("done"), signal)).toBe("done");
  const failed = new Error("it did not work");
  expect(await untilLeft(Promise.reject(failed), signal).catch((error: unknown) => error)).toBe(failed);
});

test("a client that leaves is not kept waiting, whether it leaves later or has left", async () => {
  const signal = new LeaveController();
  const waiting = untilLeft(never, signal).catch((error: unknown) => error);
  signal.leave(left);
  expect(await waiting).toBe(left);
  expect(await untilLeft(never, signal).catch((error: unknown) => error)).toBe(left);
});

test("nothing listens to the signal once the work is over", async () => {
  let listeners = 0;
  const signal = {
    aborted: false,
    reason: undefined,
    addEventListener: () => (listeners += 1),
    removeEventListener: () => (listeners -= 1),
  };
  await untilLeft(Promise.resolve(), signal);
  await untilLeft(Promise.reject(left), signal).catch(() => undefined);
  expect(listeners).toBe(0);
});

test("work that fails after the client left bothers nobody", async () => {
  const signal = new LeaveController();
  const { promise, reject } = Promise.withResolvers<string>();
  const waiting = untilLeft(promise, signal).catch((error: unknown) => error);
  signal.leave(left);
  expect(await waiting).toBe(left);
  reject(new Error("too late"));
});

import type { Clock } from "./clock.ts";

/** Resolves after the time, ms, or when the signal aborts. Leaves nothing on the signal, which may live as long as the gateway. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  try {
    await orAborted(promise, signal);
  } finally {
    cancel();
  }
}

/** Resolves as the work does, or when the signal aborts that has not yet. Leaves nothing on the signal. */
export async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  signal.addEventListener("abort", end, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

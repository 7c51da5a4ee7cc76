import type { Clock } from "./clock.ts";

/** Resolves after the time, ms, or when the signal aborts. Leaves nothing on the signal, which may live as long as the gateway. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  const cancel = clock.after(ms, end);
  signal.addEventListener("abort", end, { once: true });
  try {
    await promise;
  } finally {
    cancel();
    signal.removeEventListener("abort", end);
  }
}

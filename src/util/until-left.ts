import type { LeaveSignal } from "./leave-signal.ts";

/**
 * Waits for the work, but no longer than the client does. Resolves or rejects as the work does. Rejects at once with the
 * signal's reason when the client leaves, or has already left. The work goes on, and its result is dropped.
 */
export async function untilLeft<T>(work: Promise<T>, signal: LeaveSignal): Promise<T> {
  const { promise: left, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, left]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

import { whyLeft } from "../errors/errors.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

/**
 * What the work comes to; or, where nobody waits for it any more, why, at once: the work holds nothing of the request, and goes on
 * unheard.
 */
export async function untilLeft<T>(work: Promise<T>, signal: LeaveSignal): Promise<T> {
  const { promise: left, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(whyLeft(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, left]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

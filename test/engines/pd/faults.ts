import { systemClock } from "../../../src/util/clock.ts";
import { errorReply } from "../../../src/engine-sim/reply.ts";

/** What goes wrong at an engine, with generations only: it still answers probes, unless it refuses connections. */
export type PdFault = {
  /** Before anything is done with the request, or when this leg's part of the hand-over is behind it. */
  readonly at?: "arrival" | "handoff";
  /** Requests that it befalls; without it all. */
  readonly times?: number;
} & (
  | { readonly kind: "refuse" }
  /** The connection ends before the head. */
  | { readonly kind: "close" }
  | { readonly kind: "status"; readonly status: number; readonly retryAfterSecs?: number }
  /** No head, ever. */
  | { readonly kind: "hang" }
  /** A stream breaks after so many events, an answer of JSON in its middle. */
  | { readonly kind: "die"; readonly afterEvents: number }
  | { readonly kind: "slow"; readonly headMs?: number; readonly eventMs?: number }
);

/** The fault that is set, counted down. */
export class FaultPlan {
  #fault: PdFault | undefined;
  #left = 0;

  set(fault: PdFault | undefined): void {
    this.#fault = fault;
    this.#left = fault?.times ?? Infinity;
  }

  /** What befalls the next request. */
  take(): PdFault | undefined {
    if (this.#left <= 0) return undefined;
    this.#left -= 1;
    return this.#fault;
  }
}

/** What is answered instead at this point, if anything. A hung request is answered when its client has gone. */
export async function strike(
  fault: PdFault | undefined,
  at: "arrival" | "handoff",
  signal: AbortSignal,
): Promise<Response | undefined> {
  if (!fault || (fault.at ?? "arrival") !== at) return undefined;
  if (fault.kind === "close") return brokenReply();
  if (fault.kind === "status") {
    const reply = errorReply(fault.status, "InjectedFault", `this engine answers ${fault.status}`);
    if (fault.retryAfterSecs !== undefined) reply.headers.set("retry-after", String(fault.retryAfterSecs));
    return reply;
  }
  if (fault.kind === "slow") await pause(fault.headMs ?? 0, signal);
  if (fault.kind !== "hang") return undefined;
  await pause(undefined, signal);
  return brokenReply();
}

/** Frames as events whose head goes out with the first of them, so that a failure before it can have a status. */
export async function startedReply(
  frames: AsyncGenerator<string, void, void>,
  fault: PdFault | undefined,
  signal: AbortSignal,
  onEnd: () => void,
): Promise<Response> {
  let next: Promise<IteratorResult<string, void>> | undefined = frames.next();
  await next;
  let events = 0;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (fault?.kind === "die" && events >= fault.afterEvents) {
      await frames.return();
      await breakOff(controller);
      return;
    }
    try {
      if (fault?.kind === "slow" && events > 0) await pause(fault.eventMs ?? 0, signal);
      const frame = await (next ?? frames.next());
      next = undefined;
      events += 1;
      if (!frame.done) controller.enqueue(Buffer.from(frame.value));
      else {
        onEnd();
        controller.close();
      }
    } catch {
      // What went wrong is recorded where it was thrown; the client sees a stream that breaks.
      await breakOff(controller);
    }
  };
  const cancel = async (): Promise<void> => {
    await frames.return();
  };
  const stream = new ReadableStream<Uint8Array>({ pull, cancel }, ON_DEMAND);
  return new Response(stream, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

/** A whole answer that breaks in its middle, where that is the fault. */
export async function brokenInside(response: Response, fault: PdFault | undefined): Promise<Response> {
  if (fault?.kind !== "die") return response;
  const whole = await response.bytes();
  let isSent = false;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (isSent) await breakOff(controller);
    else controller.enqueue(whole.subarray(0, whole.length / 2));
    isSent = true;
  };
  const stream = new ReadableStream<Uint8Array>({ pull }, ON_DEMAND);
  return new Response(stream, { headers: response.headers });
}

/** A stream that fails forgets what it holds, so it holds nothing: each piece is made when the last one was taken. */
const ON_DEMAND = { highWaterMark: 0 };

/** Breaks the connection when what was taken from the stream has been sent, and apart from it: engines die between events. */
async function breakOff(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
  await Bun.sleep(BREAK_MS);
  controller.error();
}

const BREAK_MS = 5;

/** Closes the connection without a byte. */
function brokenReply(): Response {
  return new Response(
    new ReadableStream({
      start: (controller) => controller.error(),
    }),
  );
}

/** Waits so long, or without a time until the client goes. */
async function pause(ms: number | undefined, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = ms === undefined ? undefined : systemClock.after(ms, resolve);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  cancel?.();
}

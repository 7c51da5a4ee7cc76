import type { Span } from "../observability/traces/span.ts";
import type { Clock } from "../util/clock.ts";
import { tracerOf } from "../context/open-traces.ts";
import { type TraceConfig, traceSettings } from "../context/trace-settings.ts";
import type { Tracer } from "../observability/traces/tracer.ts";
import type { FromThread } from "./messages.ts";

/** How long spans are gathered, ms, because a message for each would cost more than its span. */
const GATHER_MS = 50;
/** Most spans of a message: then it goes at once. */
const MOST = 512;

/** A thread's part of the traces. It passes the spans on to the control thread, which talks to the collector and bounds what waits. */
class ThreadSpans implements Disposable {
  readonly #post: (message: FromThread) => void;
  readonly #clock: Clock;
  #waiting: Span[] = [];
  #cancelFlush: (() => void) | undefined;

  constructor(post: (message: FromThread) => void, clock: Clock) {
    this.#post = post;
    this.#clock = clock;
  }

  add(spans: readonly Span[]): void {
    this.#waiting.push(...spans);
    if (this.#waiting.length >= MOST) this.#flush();
    else this.#cancelFlush ??= this.#clock.after(GATHER_MS, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#waiting.length === 0) return;
    this.#post({ type: "spans", spans: this.#waiting });
    this.#waiting = [];
  }

  /** Passes on what is left. */
  [Symbol.dispose](): void {
    this.#flush();
  }
}

interface ThreadTracerParts {
  readonly config: TraceConfig;
  readonly post: (message: FromThread) => void;
  readonly clock: Clock;
}

/** Decides which requests of a thread are traced; undefined where none is. `stack` passes on what is left. */
export function openThreadTracer(
  { config, post, clock }: ThreadTracerParts,
  stack: AsyncDisposableStack,
): Tracer | undefined {
  if (!traceSettings(config, process.env)) return undefined;
  return tracerOf(config, stack.use(new ThreadSpans(post, clock)));
}

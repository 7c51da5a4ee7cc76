import type { RecordedRequest, TrafficSink } from "../observability/recorded-request.ts";
import type { Clock } from "../util/clock.ts";
import type { FromThread } from "./messages.ts";

/** How long requests are gathered, ms, because a message for each would cost more than its line. */
const GATHER_MS = 50;
/** Most requests that wait for the control thread, which takes one message at a time. */
const MAX_WAITING = 4096;

/** A thread's part of the recording. It passes the requests on to the control thread, which has the file. */
export class ThreadRecording implements TrafficSink, Disposable {
  readonly #post: (message: FromThread) => void;
  readonly #clock: Clock;
  #waiting: RecordedRequest[] = [];
  #lost = 0;
  #isAwaited = false;
  #cancelFlush: (() => void) | undefined;

  constructor(post: (message: FromThread) => void, clock: Clock) {
    this.#post = post;
    this.#clock = clock;
  }

  record(request: RecordedRequest): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(request);
    this.#schedule();
  }

  /** The control thread has taken the last message. */
  onTaken(): void {
    this.#isAwaited = false;
    if (this.#waiting.length > 0) this.#schedule();
  }

  #schedule(): void {
    if (!this.#isAwaited) this.#cancelFlush ??= this.#clock.after(GATHER_MS, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#waiting.length === 0 && this.#lost === 0) return;
    this.#post({ type: "recorded", requests: this.#waiting, lost: this.#lost });
    [this.#waiting, this.#lost, this.#isAwaited] = [[], 0, true];
  }

  /** Passes on what is left. */
  [Symbol.dispose](): void {
    this.#flush();
  }
}

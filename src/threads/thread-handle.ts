import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import { createMethodCell, runningMethod } from "./method-cell.ts";
import { HeldCalls } from "./held-calls.ts";
import type { FromThread, Start, ThreadState, ToThread } from "./messages.ts";

/** What runs a thread. A `Worker` stands behind it; a test brings its own. */
export interface ThreadPort {
  post(message: ToThread): void;
  /** Ends it wherever it is, also in a loop; `onClosed` is called when it runs no more. */
  terminate(): void;
}

export interface ThreadEvents {
  onMessage(message: FromThread): void;
  /** It failed with this, and is about to close. */
  onError(reason: string): void;
  onClosed(): void;
}

export type Spawn = (events: ThreadEvents) => ThreadPort;

export interface ThreadHandleDeps {
  readonly number: number;
  /** Version of the registries that the thread begins with. */
  readonly version: number;
  readonly clock: Clock;
  readonly spawn: Spawn;
  readonly startMessage: (methodCell: SharedArrayBuffer) => Start;
  /** Gets all that the handle does not answer itself. */
  readonly onMessage: (handle: ThreadHandle, message: FromThread) => void;
  /** Called once, when the thread runs no more and its calls are given back. */
  readonly onOver: (handle: ThreadHandle) => void;
}

/** Between two pings, ms. */
const PING_MS = 1000;
/**
 * Pings without an answer after which a thread that serves is ended: no work of the gateway's own holds an event loop for so
 * long. They are counted by the control thread's own timer, so that a process that was stopped as a whole ends none.
 */
const MAX_SILENT_PINGS = 10;
/** Pings without an answer while it starts: a busy machine may take long to load its code. */
const MAX_SILENT_STARTING = 60;
/** For a thread to run no more once it is told to end, ms. */
const CLOSE_MS = 5000;
/** For a thread to say what it knows, ms: one that hangs must not hang the metrics. */
const STATE_MS = 1000;

/** How a thread ended. */
export interface ThreadEnd {
  readonly reason: string;
  /** Of the error that kept it from starting. */
  readonly code: string | undefined;
  /** The method of a policy module that it ran, where it was ended because it did not answer. */
  readonly method: string | undefined;
}

/**
 * One thread that serves, as the control thread knows it:
 *
 *     starting --listening--> serving
 *        |                       |
 *        +-----------------------+--failed, silent, stopped or told to end--> ending --closed, or 5 s--> over
 *        |                       |                                                                       ^
 *        +-----------------------+--closed by itself-----------------------------------------------------+
 *
 * In `over`, the only end, what the thread held is given back; then whoever owns the handle decides what comes next. Nobody
 * waits for a thread that is ending.
 */
export class ThreadHandle {
  readonly number: number;
  readonly calls = new HeldCalls();
  /** Resolves when it listens, rejects where it is over before. */
  readonly started: Promise<void>;
  /** Resolves when it is over. */
  readonly ended: Promise<void>;
  readonly #deps: ThreadHandleDeps;
  readonly #port: ThreadPort;
  readonly #methodCell = createMethodCell();
  readonly #startedAt: number;
  readonly #started = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #questions = new Map<number, (state: ThreadState | undefined) => void>();
  #version: number;
  #active = 0;
  #metrics: MetricsSnapshot | undefined;
  #state: "starting" | "serving" | "ending" | "over" = "starting";
  #hasServed = false;
  #end: ThreadEnd = { reason: "the thread ended", code: undefined, method: undefined };
  #nextQuestion = 0;
  #silentPings = 0;
  #cancelTimer: () => void = () => undefined;

  constructor(deps: ThreadHandleDeps) {
    this.#deps = deps;
    this.number = deps.number;
    this.#version = deps.version;
    this.#startedAt = deps.clock.now();
    this.started = this.#started.promise;
    this.started.catch(() => {
      // Told by `onOver` as well, where nobody waits for the start.
    });
    this.ended = this.#ended.promise;
    this.#port = deps.spawn({
      onMessage: (message) => this.#onMessage(message),
      onError: (reason) => this.end(reason),
      onClosed: () => this.#close(),
    });
    this.#port.post(deps.startMessage(this.#methodCell));
    this.#schedulePing();
  }

  get isServing(): boolean {
    return this.#state === "serving";
  }

  /** Version of the registries that it has. */
  get version(): number {
    return this.#version;
  }

  /** Requests under way, as it last said. */
  get active(): number {
    return this.#active;
  }

  /** What it had counted when it was asked last; undefined where nobody has asked. */
  get metrics(): MetricsSnapshot | undefined {
    return this.#metrics;
  }

  /** It has listened, at some time. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  get livedMs(): number {
    return this.#deps.clock.now() - this.#startedAt;
  }

  /** Why it is over. */
  get howItEnded(): ThreadEnd {
    return this.#end;
  }

  post(message: ToThread): void {
    if (this.#state === "starting" || this.#state === "serving") this.#port.post(message);
  }

  /** From now on it says how many requests it has under way; until it does it may have some. */
  stopListening(): void {
    this.#active = Math.max(1, this.#active);
    this.post({ type: "stopListening" });
  }

  /** What it knows of itself; undefined where it does not say so in time. */
  ask(): Promise<ThreadState | undefined> {
    const id = this.#nextQuestion;
    this.#nextQuestion += 1;
    const { promise, resolve } = Promise.withResolvers<ThreadState | undefined>();
    if (!this.isServing) return Promise.resolve(undefined);
    const cancel = this.#deps.clock.after(STATE_MS, () => this.#onState(id, undefined));
    this.#questions.set(id, (state) => {
      cancel();
      resolve(state);
    });
    this.post({ type: "ask", id });
    return promise;
  }

  /** Ends it, wherever it is. Later calls do nothing. */
  end(reason: string, more: Partial<ThreadEnd> = {}): void {
    if (this.#state === "ending" || this.#state === "over") return;
    this.#state = "ending";
    this.#end = { code: undefined, method: undefined, ...more, reason };
    this.#cancelTimer();
    // One that stands in native code may take its time: nothing of its own runs any more by then.
    this.#cancelTimer = this.#deps.clock.after(CLOSE_MS, () => this.#close());
    this.#port.terminate();
  }

  #onMessage(message: FromThread): void {
    if (message.type === "log") this.#deps.onMessage(this, message);
    if (message.type === "log" || this.#state === "ending" || this.#state === "over") return;
    // Whatever it says, it is not silent.
    this.#silentPings = 0;
    switch (message.type) {
      case "pong":
        return;
      case "state":
        this.#metrics = message.state.metrics;
        return this.#onState(message.id, message.state);
      case "active":
        this.#active = message.active;
        return;
      case "failed":
        return this.end(message.message, { code: message.code });
      case "stopped":
        return this.end("it was stopped");
      case "listening":
        this.#state = "serving";
        this.#hasServed = true;
        // Before anybody who waits for the start.
        this.#deps.onMessage(this, message);
        return this.#started.resolve();
      case "applied":
        this.#version = message.version;
        return this.#deps.onMessage(this, message);
      default:
        this.#deps.onMessage(this, message);
    }
  }

  #onState(id: number, state: ThreadState | undefined): void {
    const answer = this.#questions.get(id);
    this.#questions.delete(id);
    answer?.(state);
  }

  #schedulePing(): void {
    this.#cancelTimer = this.#deps.clock.after(PING_MS, () => this.#ping());
  }

  #ping(): void {
    const most = this.isServing ? MAX_SILENT_PINGS : MAX_SILENT_STARTING;
    if (this.#silentPings >= most) {
      this.end(`it did not answer for ${most} s`, { method: runningMethod(this.#methodCell) });
      return;
    }
    this.#silentPings += 1;
    this.post({ type: "ping" });
    this.#schedulePing();
  }

  #close(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#cancelTimer();
    this.calls.close();
    for (const id of [...this.#questions.keys()]) this.#onState(id, undefined);
    const { reason, code } = this.#end;
    this.#started.reject(Object.assign(new Error(reason), code === undefined ? {} : { code }));
    this.#deps.onOver(this);
    this.#ended.resolve();
  }
}

import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { DecisionQuery, LoggedTry } from "../router/decision-log.ts";
import type { Clock } from "../util/clock.ts";
import { createMethodCell, runningMethod } from "./method-cell.ts";
import { HeldCalls } from "./held-calls.ts";
import type { Configure, Configured, FromThread, Start, ThreadState, ToThread } from "./messages.ts";
import { Questions } from "./questions.ts";

/** Runs a thread: a `Worker`; tests pass a fake. */
export interface ThreadPort {
  post(message: ToThread): void;
  /** Ends the thread at any point, even in an endless loop. `onClosed` is called when it has ended. */
  terminate(): void;
}

/** Callbacks of a thread. */
export interface ThreadEvents {
  onMessage(message: FromThread): void;
  /** The thread failed for this reason, and is about to close. */
  onError(reason: string): void;
  onClosed(): void;
}

/** Starts a thread. Tests pass a function that starts none. */
export type Spawn = (events: ThreadEvents) => ThreadPort;

export interface ThreadHandleDeps {
  readonly number: number;
  /** Version of the registries in the start message. */
  readonly version: number;
  readonly clock: Clock;
  readonly spawn: Spawn;
  readonly startMessage: (methodCell: SharedArrayBuffer) => Start;
  /** Gets messages that the handle does not answer itself. */
  readonly onMessage: (handle: ThreadHandle, message: FromThread) => void;
  /** Called once, when the thread has ended and its calls were released. */
  readonly onOver: (handle: ThreadHandle) => void;
}

/** Time between two pings, ms. */
const PING_MS = 1000;
/**
 * Unanswered pings after which a serving thread is ended: no work of the gateway itself blocks an event loop this long. The
 * control thread's own timer counts them, so a process that was stopped as a whole ends no thread.
 */
const MAX_SILENT_PINGS = 10;
/** Unanswered pings after which a starting thread is ended: a busy machine may need long to load its code. */
const MAX_SILENT_STARTING = 60;
/** Time for a thread to close after it was told to end, ms. */
const CLOSE_MS = 5000;
/** Time for a thread to answer a question, ms. A thread that hangs must not block the metrics. */
const ANSWER_MS = 1000;

/** Time for a thread to take a step of a change of the configuration, ms: longer than any work that blocks a thread. */
const CONFIGURED_MS = 5000;

/** How a thread ended. */
export interface ThreadEnd {
  readonly reason: string;
  /** Code of the error that kept it from starting. */
  readonly code: string | undefined;
  /** The policy method that it was running, if it was ended because it did not answer. */
  readonly method: string | undefined;
  /** The configuration changed while it started, so the next one begins with the new one; nothing was wrong with the thread. */
  readonly isOutdated: boolean;
}

/**
 * The control thread's handle of one serving thread:
 *
 *     starting --listening--> serving
 *        |                       |
 *        +-----------------------+--failed, silent, stopped or told to end--> ending --closed, or 5 s--> over
 *        |                       |                                                                       ^
 *        +-----------------------+--closed by itself-----------------------------------------------------+
 *
 * `over` is the only end. What the thread held is given back there, and the owner of the handle decides what comes next. Changes
 * do not wait for a thread that is ending.
 */
export class ThreadHandle {
  readonly number: number;
  readonly calls = new HeldCalls();
  /** Resolves when the thread listens; rejects if it is over before. */
  readonly started: Promise<void>;
  /** Resolves when the thread is over. */
  readonly ended: Promise<void>;
  readonly #deps: ThreadHandleDeps;
  readonly #port: ThreadPort;
  readonly #methodCell = createMethodCell();
  readonly #startedAt: number;
  readonly #started = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #states: Questions<ThreadState>;
  readonly #decisions: Questions<readonly LoggedTry[]>;
  readonly #steps: Questions<Configured>;
  #version: number;
  #active = 0;
  #metrics: MetricsSnapshot | undefined;
  #state: "starting" | "serving" | "ending" | "over" = "starting";
  #hasServed = false;
  #end: ThreadEnd = { reason: "the thread ended", code: undefined, method: undefined, isOutdated: false };
  #silentPings = 0;
  #cancelTimer: () => void = () => undefined;

  constructor(deps: ThreadHandleDeps) {
    this.#deps = deps;
    this.number = deps.number;
    this.#version = deps.version;
    this.#startedAt = deps.clock.now();
    this.#states = new Questions(deps.clock, ANSWER_MS);
    this.#decisions = new Questions(deps.clock, ANSWER_MS);
    this.#steps = new Questions(deps.clock, CONFIGURED_MS);
    this.started = this.#started.promise;
    this.started.catch(() => {
      // `onOver` reports it too, so it may stay unhandled here.
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

  /** Version of the thread's registries. */
  get version(): number {
    return this.#version;
  }

  /** Number of requests in flight in its last report. */
  get active(): number {
    return this.#active;
  }

  /** Its metrics in its last report; undefined where it has sent none. */
  get metrics(): MetricsSnapshot | undefined {
    return this.#metrics;
  }

  /** Whether it has ever listened. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  get livedMs(): number {
    return this.#deps.clock.now() - this.#startedAt;
  }

  /** How it ended. */
  get howItEnded(): ThreadEnd {
    return this.#end;
  }

  post(message: ToThread): void {
    if (this.#state === "starting" || this.#state === "serving") this.#port.post(message);
  }

  /** Makes it stop listening and report its requests in flight. Until its first report it may have some. */
  stopListening(): void {
    this.#active = Math.max(1, this.#active);
    this.post({ type: "stopListening" });
  }

  /** Asks for its state; undefined if it does not answer in time. */
  ask(): Promise<ThreadState | undefined> {
    if (!this.isServing) return Promise.resolve(undefined);
    return this.#states.ask((id) => this.post({ type: "ask", id }));
  }

  /** Asks for its choices of workers; undefined if it does not answer in time. */
  findDecisions(query: DecisionQuery): Promise<readonly LoggedTry[] | undefined> {
    if (!this.isServing) return Promise.resolve(undefined);
    return this.#decisions.ask((id) => this.post({ type: "findDecisions", id, query }));
  }

  /** Asks a serving thread for a step of a change of the configuration; undefined if it does not answer in time, or ends meanwhile. */
  configure(message: Omit<Configure, "type" | "id">): Promise<Configured | undefined> {
    return this.#steps.ask((id) => this.post({ type: "configure", id, ...message }));
  }

  /** Ends the thread in any state. Later calls do nothing. */
  end(reason: string, more: Partial<ThreadEnd> = {}): void {
    if (this.#state === "ending" || this.#state === "over") return;
    this.#state = "ending";
    this.#end = { code: undefined, method: undefined, isOutdated: false, ...more, reason };
    this.#cancelTimer();
    // A thread in native code may take long to close, but runs no JavaScript any more.
    this.#cancelTimer = this.#deps.clock.after(CLOSE_MS, () => this.#close());
    this.#port.terminate();
  }

  #onMessage(message: FromThread): void {
    if (message.type === "log") this.#deps.onMessage(this, message);
    if (message.type === "log" || this.#state === "ending" || this.#state === "over") return;
    // Any message shows that it is alive.
    this.#silentPings = 0;
    switch (message.type) {
      case "pong":
        return;
      case "state":
        this.#metrics = message.state.metrics;
        return this.#states.answer(message.id, message.state);
      case "decisions":
        return this.#decisions.answer(message.id, message.tries);
      case "configured":
        return this.#steps.answer(message.id, message.outcome);
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
        // Before the promise of the start resolves.
        this.#deps.onMessage(this, message);
        return this.#started.resolve();
      case "applied":
        this.#version = message.version;
        return this.#deps.onMessage(this, message);
      default:
        this.#deps.onMessage(this, message);
    }
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
    this.#states.close();
    this.#decisions.close();
    this.#steps.close();
    const { reason, code } = this.#end;
    this.#started.reject(Object.assign(new Error(reason), code === undefined ? {} : { code }));
    this.#deps.onOver(this);
    this.#ended.resolve();
  }
}

/**
 * Starts a thread for the first time, and anew each time that the configuration changes while it starts: the next one begins with the new
 * one. Resolves when it listens; rejects with why it cannot start.
 */
export async function firstStart(start: () => Pick<ThreadHandle, "started" | "howItEnded">): Promise<void> {
  for (;;) {
    const thread = start();
    try {
      return await thread.started;
    } catch (error) {
      if (!thread.howItEnded.isOutdated) throw error;
    }
  }
}

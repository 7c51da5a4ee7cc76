/** Where time comes from, so that a test can move it. Monotonic: unaffected by wall-clock jumps. */
export interface Clock {
  /** Milliseconds since an arbitrary start. */
  now(): number;
  /**
   * The last time that `now` told anybody, without a look at the clock, which takes 50 ns: for times of seconds, where something reads the clock
   * several times a second.
   */
  recent(): number;
  /** Runs `action` once after `delayMs`; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, action: () => void): () => void;
}

let last = performance.now();

/** The process's own monotonic clock. */
export const systemClock: Clock = {
  now: () => (last = performance.now()),
  recent: () => last,
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

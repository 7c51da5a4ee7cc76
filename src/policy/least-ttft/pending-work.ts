import { type Linked, LinkedQueues } from "./linked-queues.ts";
import {
  OLDEST_AT,
  OLDEST_WORK,
  rowAt,
  usedAt,
  WHOLE_COUNT,
  WHOLE_DONE_AT,
  WHOLE_SENT,
  WHOLE_WORK,
  workerAt,
} from "./shared-layout.ts";

/** A request that was sent. Times are of the shared time, s. */
export interface PendingRequest {
  readonly sentAt: number;
  /** Its work in tokens, as charged. */
  readonly work: number;
  /** When it will be prefilled, by the rates; only for a request without a stream. */
  doneAt: number;
}

/** What all threads have published of one worker. */
export type PublishedWork = Pick<
  PendingWork<never>,
  "touch" | "look" | "oldestAt" | "oldestWork" | "wholeWork" | "wholeCount" | "wholeDoneAt"
>;

/**
 * What pends at each worker, besides the sum of work that the ledger counts.
 *
 * A stream pends until its first byte. Each thread publishes its oldest one for each worker, and readers take the oldest of all
 * threads. A request without a stream shows no first byte: it pends for as long as the rates say, after what pended there when it was
 * sent, and counts as decoding from then on. The ledger counts its work until it ends, so the sum of all such work is published too.
 *
 * A thread's rows are written by that thread only. A thread that starts anew clears the rows that it finds, of the one that died.
 */
export class PendingWork<Request extends PendingRequest & Linked<Request>> {
  readonly #cells: Float64Array;
  readonly #thread: number;
  readonly #threads: number;
  readonly #streams = new LinkedQueues<Request>();
  readonly #whole = new LinkedQueues<Request>();
  #oldestAt = 0;
  #oldestWork = 0;
  #wholeWork = 0;
  #wholeCount = 0;

  constructor(cells: Float64Array, thread: number, threads: number) {
    this.#cells = cells;
    this.#thread = thread;
    this.#threads = threads;
    cells.fill(0, rowAt(thread, 0), rowAt(thread, cells[usedAt(threads, thread)] ?? 0));
  }

  /** Reads what all threads have published of a worker, for the getters below. */
  look(slot: number): void {
    const cells = this.#cells;
    this.#oldestAt = this.#oldestWork = this.#wholeWork = this.#wholeCount = 0;
    for (let thread = 0; thread < this.#threads; thread += 1) {
      const at = rowAt(thread, slot);
      const sentAt = cells[at + OLDEST_AT] ?? 0;
      if (sentAt > 0 && (this.#oldestAt === 0 || sentAt < this.#oldestAt)) {
        this.#oldestAt = sentAt;
        this.#oldestWork = cells[at + OLDEST_WORK] ?? 0;
      }
      this.#wholeWork += cells[at + WHOLE_WORK] ?? 0;
      this.#wholeCount += cells[at + WHOLE_COUNT] ?? 0;
    }
  }

  /** Reads something of this thread's row of a worker, for `Weigher.touch`. */
  touch(slot: number): number {
    return this.#cells[rowAt(this.#thread, slot)] ?? 0;
  }

  /** When the oldest stream without a first byte was sent; 0 where there is none. */
  get oldestAt(): number {
    return this.#oldestAt;
  }

  /** Its work. */
  get oldestWork(): number {
    return this.#oldestWork;
  }

  /** Work of all requests without streams in flight, prefilled or not. */
  get wholeWork(): number {
    return this.#wholeWork;
  }

  /** Number of all requests without streams in flight. */
  get wholeCount(): number {
    return this.#wholeCount;
  }

  /** When the worker will have prefilled its requests without streams. */
  wholeDoneAt(slot: number): number {
    return this.#cells[workerAt(slot) + WHOLE_DONE_AT] ?? 0;
  }

  /** A stream was sent. */
  sendStream(slot: number, request: Request): void {
    this.#streams.push(slot, request);
    this.#publish(slot);
  }

  /** A stream's first byte came, or it ended without one. */
  endStream(slot: number, request: Request): void {
    this.#streams.remove(slot, request);
    this.#publish(slot);
  }

  /** A request without a stream was sent. It will begin at `startsAt`, or after those before it, and take `prefillS`. */
  sendWhole(slot: number, request: Request, startsAt: number, prefillS: number): void {
    const at = workerAt(slot);
    const cells = this.#cells;
    request.doneAt = Math.max(startsAt, cells[at + WHOLE_DONE_AT] ?? 0) + prefillS;
    cells[at + WHOLE_DONE_AT] = request.doneAt;
    cells[at + WHOLE_SENT] = (cells[at + WHOLE_SENT] ?? 0) + request.work;
    this.#whole.push(slot, request);
    this.#addWhole(slot, request.work, 1);
  }

  /** The oldest request without a stream of this thread that must be prefilled by now. It is taken off, and no longer named. */
  takePrefilled(slot: number, now: number): Request | undefined {
    const oldest = this.#whole.head(slot);
    if (!oldest || oldest.doneAt > now) return undefined;
    this.#whole.remove(slot, oldest);
    return oldest;
  }

  /** A request without a stream is over. */
  endWhole(slot: number, request: Request): void {
    this.#whole.remove(slot, request);
    this.#addWhole(slot, -request.work, -1);
  }

  /** Forgets what this thread has pending at a worker. The requests must not be ended here any more. */
  forget(slot: number): void {
    this.#streams.clear(slot);
    this.#whole.clear(slot);
    const at = rowAt(this.#thread, slot);
    this.#cells.fill(0, at, rowAt(this.#thread, slot + 1));
  }

  #publish(slot: number): void {
    const oldest = this.#streams.head(slot);
    const at = this.#ownRow(slot);
    this.#cells[at + OLDEST_AT] = oldest?.sentAt ?? 0;
    this.#cells[at + OLDEST_WORK] = oldest?.work ?? 0;
  }

  #ownRow(slot: number): number {
    const used = usedAt(this.#threads, this.#thread);
    if (slot >= (this.#cells[used] ?? 0)) this.#cells[used] = slot + 1;
    return rowAt(this.#thread, slot);
  }

  #addWhole(slot: number, work: number, count: number): void {
    const at = this.#ownRow(slot);
    const cells = this.#cells;
    cells[at + WHOLE_WORK] = Math.max(0, (cells[at + WHOLE_WORK] ?? 0) + work);
    cells[at + WHOLE_COUNT] = Math.max(0, (cells[at + WHOLE_COUNT] ?? 0) + count);
  }
}

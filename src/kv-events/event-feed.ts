import { batchOf, type CacheEvent, type LoadReport } from "./cache-event.ts";
import { Completeness } from "./completeness.ts";
import { EarlyBatches } from "./early-batches.ts";
import type { FeedCounts, FeedParts, FeedState } from "./feed-state.ts";
import { FeedStatus } from "./feed-status.ts";
import { type QuestionKind, ReplayQuestion } from "./replay-question.ts";

/** Time for the next piece of an answer to a question, ms. vLLM looks for questions ten times a second. */
const ANSWER_MS = 5000;
/** How often the feed looks whether batches came, ms. After a silence it asks whether any was missed. */
const LOOK_MS = 30_000;

/**
 * Puts the batches of one publisher in order. Each has a sequence number, which begins at 0 with the engine's process. What is missing is
 * asked for from the publisher's replay; what it no longer has is lost.
 *
 * After a new connection the last batch that was taken in is asked for again: if it is another one now, or is not there, the engine was restarted.
 */
export class EventFeed implements Disposable {
  readonly counts: FeedCounts = { batches: 0, gaps: 0, replays: 0, restarts: 0, unreadable: 0, unknown: 0 };
  /** The engine's last report of its load, where it sends any. */
  load: LoadReport | undefined;
  readonly #parts: FeedParts;
  readonly #status: FeedStatus;
  #isUp = false;
  /** Sequence number of the next batch. */
  #next = 0;
  /** Hash of the batch before it. */
  #lastBatch: number | bigint = 0;
  readonly #known = new Completeness();
  /** A batch has come since the last look. */
  #wasHeard = false;
  /** Number of the last batch on this connection; -1 before the first. */
  #lastLive = -1;
  readonly #early = new EarlyBatches();
  /** The question that is under way. */
  #question: ReplayQuestion | undefined;
  /** The next ups of the replay are those of its new connection after a question without an answer. */
  #isReplayNew = false;
  #cancelAnswer: () => void = () => undefined;
  #cancelLook: () => void = () => undefined;

  constructor(parts: FeedParts) {
    this.#parts = parts;
    this.#status = new FeedStatus((state, reason) => parts.onState(state, reason));
  }

  get state(): FeedState {
    return this.#status.state;
  }

  /** Why it has this state, as a sentence for operators in which the publisher is "it". */
  get reason(): string {
    return this.#status.reason;
  }

  /** Sequence number of the next batch. */
  get next(): number {
    return this.#next;
  }

  /** Bytes of batches that came before their turn. */
  get heldBytes(): number {
    return this.#early.bytes;
  }

  /** The subscription stands. */
  up(): void {
    this.#isUp = true;
    this.#lastLive = -1;
    this.#early.clear();
    this.#scheduleLook();
    this.#check();
  }

  /** The connection of the subscription is lost. */
  down(reason: string): void {
    this.#stop();
    this.#status.become("connecting", reason);
  }

  /** The publisher's replay can be asked, from now or again. */
  replayUp(): void {
    const isNew = this.#isReplayNew;
    this.#isReplayNew = false;
    // After a question without an answer the next look asks again.
    if (isNew || !this.#isUp || this.#question) return;
    this.#askAnew();
  }

  /** The publisher's replay is lost: no answer comes. */
  replayDown(reason: string): void {
    if (this.#question) this.#giveUp(`its replay endpoint was lost: ${reason}`);
  }

  /** A batch of the subscription. */
  live(sequence: number, payload: Uint8Array): void {
    if (!this.#isUp) return;
    // A publisher counts up, so a smaller number is another process; so is one below what was seen before this connection.
    const isBack = sequence <= this.#lastLive || (this.#lastLive < 0 && sequence < this.#next && !this.#question);
    if (isBack) this.#onRestart("its sequence numbers began again");
    this.#lastLive = sequence;
    this.#wasHeard = true;
    this.#offer(sequence, payload);
    if (!this.#question) this.#catchUp();
  }

  /** A message that is no batch: nobody can know what it would have said. */
  malformed(reason: string): void {
    this.counts.unreadable += 1;
    this.#known.lose(reason);
    if (this.#isUp && !this.#question) this.#settle();
  }

  /** A batch of the answer to a question. */
  replayed(sequence: number, payload: Uint8Array): void {
    const question = this.#question;
    const isFirst = question?.isUnanswered === true;
    if (!question?.accepts(sequence, payload)) return;
    this.#waitForAnswer();
    if (isFirst && question.kind === "whole") this.#beginWhole(question, sequence);
    if (!question.isOfOther) this.#offer(sequence, payload);
  }

  /** The answer to a question is complete. */
  replayEnded(): void {
    const question = this.#question;
    if (!question) return;
    this.#question = undefined;
    this.#cancelAnswer();
    // On one connection there is one process, also where its replay keeps nothing.
    if (question.isOfOther && !(question.isUnanswered && this.#lastLive >= 0)) {
      this.#onRestart("its last batches are not those that came before");
      this.#check();
      return;
    }
    if (this.#next === 0 && this.#early.size === 0) this.#known.begin(); // It has published nothing yet.
    if (this.#next === question.next) this.#skip();
    this.#catchUp();
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#early.clear();
  }

  #stop(): void {
    this.#isUp = false;
    this.#question = undefined;
    this.#cancelAnswer();
    this.#cancelLook();
  }

  #scheduleLook(): void {
    this.#cancelLook();
    this.#cancelLook = this.#parts.clock.after(LOOK_MS, () => {
      const isSilent = !this.#wasHeard;
      this.#wasHeard = false;
      this.#scheduleLook();
      if (this.#question || !this.#parts.ask) return;
      if (isSilent || this.#known.mayRecover) this.#askAnew();
    });
  }

  /** Asks for everything if what was lost may be there, otherwise for what came since the last batch. */
  #askAnew(): void {
    if (!this.#known.mayRecover || !this.#ask("whole")) this.#check();
  }

  /** The answer for everything begins with this batch. Without the first one it cannot tell more than is known. */
  #beginWhole(question: ReplayQuestion, sequence: number): void {
    if (sequence === 0) {
      this.#startAnew();
      question.next = 0;
      this.#status.becomeBehind();
    } else this.#known.giveUp();
  }

  /** Asks for the last batch again and all after it. */
  #check(): void {
    if (this.#ask("check")) {
      // A question after a silence changes nothing as long as no answer says so.
      if (this.#status.state === "connecting") this.#status.becomeBehind();
      return;
    }
    if (this.#parts.ask) this.#known.lose("its replay endpoint cannot be reached", true);
    this.#settle();
  }

  /** Asks for what is missing, if anything is, or goes on without it. */
  #catchUp(): void {
    while (this.#early.size > 0) {
      this.counts.gaps += 1;
      if (this.#ask("gap")) {
        this.#status.becomeBehind();
        return;
      }
      this.#skip();
    }
    this.#settle();
  }

  #ask(kind: QuestionKind): boolean {
    const question = new ReplayQuestion(kind, this.#next, this.#lastBatch);
    if (this.#parts.ask?.(question.from) !== true) return false;
    this.counts.replays += 1;
    this.#question = question;
    this.#waitForAnswer();
    return true;
  }

  #waitForAnswer(): void {
    this.#cancelAnswer();
    this.#cancelAnswer = this.#parts.clock.after(ANSWER_MS, () => {
      // A late answer must not be taken for that of the next question.
      this.#isReplayNew = true;
      this.#parts.hangUpReplay();
      this.#giveUp("its replay endpoint does not answer");
    });
  }

  #giveUp(reason: string): void {
    this.#question = undefined;
    this.#cancelAnswer();
    this.#known.lose(reason, true);
    this.#skip();
    this.#catchUp();
  }

  /** Goes on behind the batches that nobody has. */
  #skip(): void {
    if (this.#early.size === 0) return;
    const { first } = this.#early;
    this.#known.lose(`${first - this.#next} of its batches before number ${first} are lost`);
    this.#next = first;
    this.#takeEarly();
  }

  #offer(sequence: number, payload: Uint8Array): void {
    if (sequence > this.#next) this.#early.add(sequence, payload);
    else if (sequence === this.#next) {
      this.#take(payload);
      this.#takeEarly();
    }
  }

  #takeEarly(): void {
    for (let payload = this.#early.take(this.#next); payload; payload = this.#early.take(this.#next))
      this.#take(payload);
  }

  #take(payload: Uint8Array): void {
    // The engine's first batch: its cache was empty before.
    if (this.#next === 0) this.#known.begin();
    this.#next += 1;
    this.#lastBatch = Bun.hash(payload);
    this.counts.batches += 1;
    const batch = batchOf(payload);
    if (typeof batch === "string") {
      this.counts.unreadable += 1;
      this.#known.lose(batch);
      return;
    }
    this.counts.unknown += batch.skipped;
    for (const event of batch.events) this.#apply(event);
    const { fault } = this.#parts.blocks;
    if (fault !== undefined) this.#known.lose(fault);
  }

  #apply(event: CacheEvent): void {
    if (event.kind === "load") this.load = event;
    else if (event.kind === "cleared") this.#clear();
    else this.#parts.blocks.apply(event);
  }

  /** An empty cache is known completely. */
  #clear(): void {
    this.#known.begin();
    this.#parts.blocks.clear();
  }

  #onRestart(reason: string): void {
    this.counts.restarts += 1;
    this.#status.become("catching_up", `the engine was restarted: ${reason}`);
    this.#startAnew();
  }

  #startAnew(): void {
    this.#next = 0;
    this.#early.clear();
    this.#clear();
    this.#known.reset();
  }

  /** Nothing is missing, or nothing can be done about it. */
  #settle(): void {
    if (this.#known.isComplete) this.#status.become("exact", "all its batches have come");
    else this.#status.become("partial", this.#known.reason);
  }
}

import type { AnswerChange } from "./answer-change.ts";
import { ResponseStage, type WorkerResponse } from "./response-stage.ts";

/** A worker's answer with one more change. Answers with a status outside 2xx stay unchanged. */
export class ChangedResponse extends ResponseStage {
  readonly #change: AnswerChange;

  constructor(inner: WorkerResponse, change: AnswerChange) {
    super(inner, change);
    this.#change = change;
  }

  override async bytes(maxBytes: number): Promise<Uint8Array> {
    const body = await this.inner.bytes(maxBytes);
    const whole = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const { marker } = this.#change;
    const isAnswer = this.status >= 200 && this.status < 300;
    if (!isAnswer || (marker !== undefined && !whole.includes(marker))) return body;
    await this.ready();
    return this.#change.whole(whole);
  }

  /** Resolves when the change has everything that it needs. */
  protected ready(): Promise<void> | undefined {
    return undefined;
  }
}

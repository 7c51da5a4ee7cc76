import type { PieceTaker } from "../../transport/upstream.ts";
import { ChangedResponse } from "../changed-response.ts";
import type { PrefillAnswer } from "../pd/pd-exchange.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { PrefillMerge } from "./pd-merge.ts";

/** Decode's answer with parts of prefill's answer. Nothing passes before prefill has answered. */
export class MergedResponse extends ChangedResponse {
  readonly #merge: PrefillMerge;
  readonly #answer: PrefillAnswer;
  #isReady = false;

  constructor(inner: WorkerResponse, merge: PrefillMerge, answer: PrefillAnswer) {
    super(inner, merge);
    this.#merge = merge;
    this.#answer = answer;
  }

  override read(): ReturnType<WorkerResponse["read"]> {
    // Decode is read first, so that its failure is noticed while prefill still runs.
    const next = this.inner.read();
    return this.#isReady ? next : this.#readFirst(next);
  }

  override follow(taker: PieceTaker): Promise<void> | undefined {
    return this.#isReady ? this.inner.follow?.(taker) : undefined;
  }

  protected override async ready(): Promise<void> {
    if (this.#isReady) return;
    this.#merge.know(await this.#answer);
    this.#isReady = true;
  }

  async #readFirst(next: ReturnType<WorkerResponse["read"]>): Promise<Uint8Array | undefined> {
    const piece = await next;
    await this.ready();
    return piece;
  }
}

import { GatewayError } from "../../errors/errors.ts";
import type { AddedToken } from "../bpe/added-tokens.ts";
import type { BpePlanResult } from "../bpe/bpe-plan.ts";
import type { DecoderPlan } from "../decode/decoder-plan.ts";
import type { VocabularyTables } from "../bpe/vocabulary.ts";
import { threadUrl } from "../../util/thread-url.ts";

/** The parts of a loaded tokenizer that other threads get. */
export interface ThreadTables {
  readonly vocabulary: VocabularyTables;
  readonly added: readonly AddedToken[];
  /** The plan of the TypeScript encoder, which has passed the self-check; or the reason why there is none. */
  readonly bpe: BpePlanResult;
  readonly decoder: DecoderPlan | undefined;
  readonly isSplitExact: boolean;
}

export type ToTokenizerThread =
  | { readonly id: number; readonly kind: "load"; readonly json: Uint8Array }
  | { readonly id: number; readonly kind: "encode"; readonly text: string; readonly addSpecialTokens: boolean }
  | {
      readonly id: number;
      readonly kind: "decode";
      readonly ids: readonly number[];
      readonly skipSpecialTokens: boolean;
    };

export type FromTokenizerThread =
  | { readonly id: number; readonly kind: "loaded"; readonly tables: ThreadTables }
  | { readonly id: number; readonly kind: "ids"; readonly ids: Uint32Array }
  | { readonly id: number; readonly kind: "text"; readonly text: string }
  | { readonly id: number; readonly kind: "failed"; readonly message: string };

interface Waiting {
  readonly resolve: (reply: FromTokenizerThread) => void;
  readonly reject: (error: GatewayError) => void;
}

type Question = ToTokenizerThread extends infer M ? (M extends ToTokenizerThread ? Omit<M, "id"> : never) : never;

/**
 * A thread with one native tokenizer. Making a tokenizer takes up to two seconds of CPU in one piece, and a tokenizer cannot be
 * sent to another thread. So it stays on its own thread and sends only its tables, and serving threads are never blocked. A
 * call costs 80 µs in addition to its work. The code that starts the thread disposes of it, which also frees its memory.
 */
export class TokenizerThread {
  readonly #worker = new Worker(threadUrl("tokenizer/load/tokenizer-thread-main.ts"));
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #isOver = false;

  constructor() {
    this.#worker.addEventListener("message", (event: MessageEvent<FromTokenizerThread>) => {
      const reply = event.data;
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      this.#holdProcess();
      if (reply.kind === "failed") waiting?.reject(new GatewayError("internal_error", `tokenizer: ${reply.message}`));
      else waiting?.resolve(reply);
    });
    this.#worker.addEventListener("error", (event) => this.#end(`the tokenizer's thread died: ${event.message}`));
    this.#worker.addEventListener("close", () => this.#end("the tokenizer's thread has ended"));
    this.#worker.unref();
  }

  /** `json` is tokenizer.json. Rejects with the reason if it is not valid. */
  async load(json: Uint8Array): Promise<ThreadTables> {
    // A copy that is transferred: it takes 20 ms of this thread for 33 MB; letting the channel copy takes 70 ms.
    const copy = json.slice();
    const reply = await this.#ask({ kind: "load", json: copy }, [copy.buffer]);
    if (reply.kind !== "loaded")
      throw new GatewayError("internal_error", "the tokenizer's thread answered out of turn");
    return reply.tables;
  }

  async encode(text: string, addSpecialTokens: boolean): Promise<Uint32Array> {
    const reply = await this.#ask({ kind: "encode", text: text.toWellFormed(), addSpecialTokens });
    if (reply.kind !== "ids") throw new GatewayError("internal_error", "the tokenizer's thread answered out of turn");
    return reply.ids;
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    const reply = await this.#ask({ kind: "decode", ids, skipSpecialTokens });
    if (reply.kind !== "text") throw new GatewayError("internal_error", "the tokenizer's thread answered out of turn");
    return reply.text;
  }

  [Symbol.dispose](): void {
    this.#end("the tokenizer was removed");
    this.#worker.terminate();
  }

  #ask(question: Question, moved: ArrayBuffer[] = []): Promise<FromTokenizerThread> {
    if (this.#isOver) return Promise.reject(new GatewayError("internal_error", "the tokenizer was removed"));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#holdProcess();
      this.#worker.postMessage({ ...question, id } satisfies ToTokenizerThread, moved);
    });
  }

  /** Keeps the process alive only while a call waits for its answer. */
  #holdProcess(): void {
    if (this.#waiting.size > 0) this.#worker.ref();
    else this.#worker.unref();
  }

  #end(message: string): void {
    this.#isOver = true;
    for (const waiting of this.#waiting.values()) waiting.reject(new GatewayError("internal_error", message));
    this.#waiting.clear();
  }
}

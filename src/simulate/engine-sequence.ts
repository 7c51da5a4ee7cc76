/** A request as an engine sees it. */
export interface EngineRequest {
  /** Ids of the whole blocks of its prompt and, where later prompts hold it, of its answer. */
  readonly blocks: Int32Array;
  readonly promptTokens: number;
  /** At least 1. */
  readonly outputTokens: number;
  /** Prompt tokens whose KV cache another engine hands over, at most all but one; 0 where it prefills itself. */
  readonly receivedTokens: number;
}

/** A request at an engine, from its arrival to its last token. Only the engine changes it. */
export class Sequence {
  readonly request: EngineRequest;
  /** Whoever sent the request knows it by this number. */
  readonly tag: number;
  /** Tokens whose KV is in the cache. */
  computed = 0;
  /** Tokens of the answer so far. */
  generated = 0;
  /** Tokens that the step in progress computes; 0 where it leaves this sequence out. */
  scheduled = 0;
  /** Blocks that it uses, and how many of the first of them have an id. */
  held = 0;
  named = 0;
  /** Prompt tokens that were found in the cache when it was first admitted; -1 until then. */
  cachedTokens = -1;
  preemptions = 0;
  /** It was aborted during a step, and leaves at the end of it. */
  isAborted = false;

  constructor(request: EngineRequest, tag: number) {
    this.request = request;
    this.tag = tag;
  }

  /** Tokens that are known: the prompt and what was generated. */
  get known(): number {
    return this.request.promptTokens + this.generated;
  }

  /** Tokens whose KV another engine has handed over. A preemption loses them. */
  get received(): number {
    return this.preemptions > 0 ? 0 : this.request.receivedTokens;
  }

  /** Tokens to compute until the next token of the answer. */
  get rest(): number {
    return this.known - this.computed;
  }

  /** Only its last token has no KV yet: each step gives it one token. */
  get isDecoding(): boolean {
    return this.generated > 0 && this.rest === 1;
  }

  /** Its last token has been given. */
  get isDone(): boolean {
    return this.generated >= this.request.outputTokens;
  }

  /** The same sequence, for an engine that is run ahead. */
  copy(): Sequence {
    const copy = new Sequence(this.request, this.tag);
    copy.computed = this.computed;
    copy.generated = this.generated;
    copy.scheduled = this.scheduled;
    copy.held = this.held;
    copy.named = this.named;
    copy.cachedTokens = this.cachedTokens;
    copy.preemptions = this.preemptions;
    copy.isAborted = this.isAborted;
    return copy;
  }
}

import { GatewayError } from "../../errors/errors.ts";
import type { AnswerWriter } from "../../protocol/generation.ts";
import type { GrpcStream, MessageTaker } from "../../transport/grpc/grpc-client.ts";
import type { PieceTaker } from "../../transport/upstream.ts";
import type { Clock } from "../../util/clock.ts";
import type { WorkerResponse } from "../response-stage.ts";
import { AnswerAssembler, type AssemblySettings, type FromPrefill } from "./answer-assembler.ts";
import type { EngineCodec, EngineStep } from "../../engine/codec.ts";
import { type Batch, MessageQueue } from "./message-queue.ts";
import { StreamCounts } from "./stream-counts.ts";

/** One prompt in flight at an engine. */
export interface Generation {
  readonly stream: GrpcStream;
  readonly requestId: string;
  /** Index of the first of its `n` answers. */
  readonly firstIndex: number;
  readonly startsInReasoning: boolean | undefined;
  /** Facts from the prefill worker, which knows them better. */
  readonly fromPrefill?: FromPrefill | undefined;
}

export interface GenerationResponseParts {
  readonly engine: EngineCodec;
  readonly generations: readonly Generation[];
  readonly settings: AssemblySettings;
  readonly writer: AnswerWriter;
  /** Whether the engine answers token by token. */
  readonly isEngineStreamed: boolean;
  readonly isStream: boolean;
  readonly clock: Clock;
  /** Makes the engine stop unfinished work. */
  readonly abort: (requestId: string) => void;
}

const STREAM_HEADERS: ReadonlyMap<string, string> = new Map([["content-type", "text/event-stream"]]);
const WHOLE_HEADERS: ReadonlyMap<string, string> = new Map([["content-type", "application/json"]]);

/**
 * Turns an engine's generations into the answer of a worker with the client's API. Later steps cannot see that tokens came over
 * gRPC. Reading it pulls from the engine, so a slow client slows the engine.
 */
export class GenerationResponse implements WorkerResponse, MessageTaker {
  readonly status = 200;
  readonly headers: ReadonlyMap<string, string>;
  readonly account: StreamCounts;
  readonly #parts: GenerationResponseParts;
  readonly #assemblers: AnswerAssembler[] = [];
  readonly #open: Set<Generation>;
  /** Generations that a stop string ended, which the engine does not know. */
  readonly #cut = new Set<Generation>();
  /** For several prompts: their messages, and the generations whose next message has not been requested yet. */
  readonly #queue = new MessageQueue<Generation>();
  #unread: readonly Generation[];
  #isEnded = false;
  /** An error found on the fast path; the next read throws it. */
  #failure: unknown;
  #taker: PieceTaker | undefined;

  constructor(parts: GenerationResponseParts) {
    this.#parts = parts;
    this.headers = parts.isStream ? STREAM_HEADERS : WHOLE_HEADERS;
    this.#open = new Set(parts.generations);
    this.#unread = parts.generations;
    const { n } = parts.settings.request;
    this.account = new StreamCounts(n);
    for (const { firstIndex, startsInReasoning } of parts.generations) {
      for (let sample = 0; sample < n; sample += 1) {
        const index = firstIndex + sample;
        this.#assemblers[index] = new AnswerAssembler(parts.settings, index, startsInReasoning);
      }
    }
  }

  read(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    while (!this.#isEnded) {
      if (this.#open.size === 0) {
        this.#isEnded = true;
        return this.account.ended(this.#parts.writer.end());
      }
      const next = this.#next();
      if (next instanceof Promise) return this.#readLater(next);
      const text = this.#take(next);
      if (text !== "") return this.account.sent(text);
    }
    return undefined;
  }

  /** Only for a single prompt, because messages of several arrive in any order. */
  async follow(taker: PieceTaker): Promise<void> {
    const { generations, isStream } = this.#parts;
    const [only] = generations;
    if (generations.length !== 1 || !only || !isStream || this.#open.size === 0) return;
    this.#taker = taker;
    await only.stream.follow(this);
    this.#taker = undefined;
  }

  takeMessages(messages: readonly Uint8Array[]): boolean {
    const [from] = this.#parts.generations;
    if (!from) return false;
    try {
      const text = this.#take({ from, messages });
      if (text === "") return this.#open.size > 0;
      const bytes = this.account.sent(text);
      return this.#taker?.take(bytes, 0, bytes.length) === true && this.#open.size > 0;
    } catch (error) {
      this.discard();
      this.#failure = error;
      return false;
    }
  }

  async bytes(maxBytes: number): Promise<Uint8Array> {
    try {
      while (this.#open.size > 0) this.#take(await this.#next());
    } catch (error) {
      this.discard();
      throw error;
    }
    const body = Buffer.from(this.#parts.writer.whole());
    if (body.length <= maxBytes) return body;
    throw new GatewayError("invalid_upstream_response", "the worker's answer is larger than it may be");
  }

  /** Later calls do nothing. */
  discard(): void {
    for (const generation of this.#open) this.#stop(generation);
    this.#open.clear();
    this.#isEnded = true;
  }

  async #readLater(next: Promise<Messages>): Promise<Uint8Array | undefined> {
    try {
      const text = this.#take(await next);
      return text === "" ? await this.read() : this.account.sent(text);
    } catch (error) {
      // The other prompts must stop too.
      this.discard();
      throw error;
    }
  }

  /** The next messages: of the only prompt, or of the first prompt that has some. */
  #next(): Messages | Promise<Messages> {
    const { generations } = this.#parts;
    const [only] = generations;
    if (generations.length === 1 && only) {
      const messages = only.stream.readAvailable();
      return messages instanceof Promise
        ? messages.then((some) => ({ from: only, messages: some }))
        : { from: only, messages };
    }
    for (const generation of this.#unread) void this.#queue.read(generation);
    this.#unread = [];
    return this.#queue.next();
  }

  /** Turns messages into text of the client's API. Throws upstream_truncated if the engine ended too early. */
  #take({ from, messages }: Messages): string {
    if (messages.length === 0) {
      this.#open.delete(from);
      if (!this.#isFinished(from))
        throw new GatewayError("upstream_truncated", "the engine ended before its answer did");
      return "";
    }
    const { engine, isEngineStreamed } = this.#parts;
    let text = "";
    for (const message of messages) {
      const step = decode(engine, message, isEngineStreamed);
      if (step) text += this.#write(from, step);
    }
    if (this.#open.has(from) && this.#isFinished(from)) this.#finish(from);
    if (this.#open.has(from)) this.#unread = [from];
    return text;
  }

  #write(from: Generation, step: EngineStep): string {
    const assembler = this.#assemblers[from.firstIndex + step.index];
    if (!assembler)
      throw new GatewayError("invalid_upstream_response", "the engine has an answer that nobody asked for");
    if (assembler.isFinished) return "";
    const part = assembler.take(step, from.fromPrefill);
    this.account.add(part);
    if (part.finish && !step.finish) this.#cut.add(from);
    return this.#parts.writer.part(part);
  }

  #isFinished({ firstIndex }: Generation): boolean {
    const { n } = this.#parts.settings.request;
    for (let index = firstIndex; index < firstIndex + n; index += 1) {
      if (!this.#assemblers[index]?.isFinished) return false;
    }
    return true;
  }

  /** Ends a generation whose answers are all there; further messages of the engine are ignored. */
  #finish(generation: Generation): void {
    this.#open.delete(generation);
    if (this.#cut.has(generation)) {
      this.#stop(generation);
      return;
    }
    const rest = generation.stream.readAvailable();
    if (!(rest instanceof Promise)) {
      if (rest.length > 0) this.#stop(generation);
      return;
    }
    void this.#awaitEnd(generation, rest);
  }

  /** Waits for the end of the stream, which usually follows at once; discarding the stream now would reset it. */
  async #awaitEnd(generation: Generation, rest: Promise<readonly Uint8Array[]>): Promise<void> {
    const stopWaiting = this.#parts.clock.after(END_PATIENCE_MS, () => this.#stop(generation));
    try {
      if ((await rest).length > 0) this.#stop(generation);
    } catch {
      // The client has its whole answer.
    } finally {
      stopWaiting();
    }
  }

  #stop(generation: Generation): void {
    this.#parts.abort(generation.requestId);
    generation.stream.discard();
  }
}

/** Time for a stream to end after its last answer, ms; then the engine gets an Abort. */
const END_PATIENCE_MS = 50;

type Messages = Batch<Generation>;

function decode(engine: EngineCodec, message: Uint8Array, isStreamed: boolean): EngineStep | undefined {
  try {
    return engine.decodeGenerate(message, isStreamed);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError("upstream_protocol_error", "a message of the worker cannot be read", { cause });
  }
}

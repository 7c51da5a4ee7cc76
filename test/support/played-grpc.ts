import { loadTokenizer } from "../../src/tokenizer/load/load-tokenizer.ts";
import type { ModelText } from "../../src/router/grpc/model-text.ts";
import type { GrpcCallOptions, GrpcClient, GrpcStream, MessageTaker } from "../../src/transport/grpc/grpc-client.ts";
import { GenerateResponse } from "../../src/transport/grpc/generated/engine/vllm.ts";
import { writeTinyModel } from "./tiny-model.ts";

export interface PlayedCall {
  readonly origin: string;
  readonly method: string;
  readonly request: Uint8Array;
  readonly options: GrpcCallOptions;
}

/** The messages of a stream, or the one of a call; an error ends it. */
export type PlayedAnswer = readonly (Uint8Array | Error)[];

/** A gRPC client without sockets: a test says what each call is answered with. */
export class PlayedGrpc implements GrpcClient {
  readonly openSockets = 0;
  readonly calls: PlayedCall[] = [];
  readonly streams: PlayedStream[] = [];
  readonly #answer: (call: PlayedCall) => PlayedAnswer;

  constructor(answer: (call: PlayedCall) => PlayedAnswer) {
    this.#answer = answer;
  }

  async unary(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
    const call = { origin, method, request, options };
    this.calls.push(call);
    const [message = new Uint8Array(0)] = this.#answer(call);
    if (message instanceof Error) throw message;
    return message;
  }

  serverStream(origin: string, method: string, request: Uint8Array, options: GrpcCallOptions): GrpcStream {
    const call = { origin, method, request, options };
    this.calls.push(call);
    const stream = new PlayedStream(this.#answer(call));
    this.streams.push(stream);
    return stream;
  }

  failAll(): void {}

  forget(): void {}
  renew(): void {}
}

export class PlayedStream implements GrpcStream {
  readonly #messages: (Uint8Array | Error)[];
  hasMessages = false;
  isDiscarded = false;

  constructor(messages: PlayedAnswer) {
    this.#messages = [...messages];
  }

  async read(): Promise<Uint8Array | undefined> {
    const next = this.#messages.shift();
    if (next instanceof Error) throw next;
    this.hasMessages ||= next !== undefined;
    return next;
  }

  async readAvailable(): Promise<readonly Uint8Array[]> {
    const next = await this.read();
    return next ? [next] : [];
  }

  follow(taker: MessageTaker): Promise<void> {
    for (let next = this.#messages[0]; next && !(next instanceof Error); next = this.#messages[0]) {
      this.#messages.shift();
      if (!taker.takeMessages([next])) break;
    }
    return Promise.resolve();
  }

  discard(): void {
    this.isDiscarded = true;
  }
}

/** vLLM's message for new tokens. */
export function tokens(ids: readonly number[], index = 0): Uint8Array {
  const value = { tokenIds: [...ids], promptTokens: 3, completionTokens: ids.length, cachedTokens: 1, index };
  return GenerateResponse.encode(GenerateResponse.fromPartial({ response: { $case: "chunk", value } })).finish();
}

/** vLLM's message for the end of an answer, which repeats the last tokens of a stream. */
export function ended(
  ids: readonly number[],
  more: { readonly index?: number; readonly kvTransferParamsJson?: string } = {},
): Uint8Array {
  const value = { outputIds: [...ids], finishReason: "stop", promptTokens: 3, completionTokens: ids.length };
  const response = { $case: "complete", value: { ...value, cachedTokens: 1, ...more } } as const;
  return GenerateResponse.encode(GenerateResponse.fromPartial({ response })).finish();
}

/** The text of a tiny model, and the ids of a text. */
export async function tinyText(): Promise<{ readonly text: ModelText; readonly idsOf: (text: string) => number[] }> {
  const { path, tokenizer: sim } = await writeTinyModel();
  const tokenizer = await loadTokenizer(path);
  const { chatTemplates } = tokenizer;
  const text = { tokenizer, chatTemplates, encoder: tokenizer, toolCallParser: undefined, reasoningParser: undefined };
  return { text, idsOf: (words) => [...sim.encode(words)] };
}

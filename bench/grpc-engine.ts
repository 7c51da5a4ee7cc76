/**
 * The gRPC engine behind the gateways of bench/grpc.ts: SGLang's scheduler service with one sequence a request, which gives
 * the same words to everybody, a token a message. It looks at nothing of a request but its id, how many tokens the prompt and
 * the answer have (`max_tokens`), and the ms between tokens, which a load says as `top_k`; without it they come as fast as they are taken.
 *
 *   bun bench/grpc-engine.ts PORT IDS_FILE TOKENIZER_DIR
 */
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { tokenizerChunks } from "../test/engines/grpc/tokenizer-zip.ts";
import {
  GenerateRequest,
  GenerateResponse,
  GetModelInfoResponse,
  GetServerInfoResponse,
  HealthCheckResponse,
} from "../src/transport/grpc/generated/engine/sglang.ts";
import { HealthCheckResponse as StandardHealth } from "../src/transport/grpc/generated/health/health.ts";
import { frameMessage } from "../src/transport/grpc/message-framer.ts";
import { SGLANG } from "../src/engine/sglang/methods.ts";
import { HEALTH } from "../test/engines/grpc/health-service.ts";
import { type Paced, Pacer } from "./lib/pacer.ts";

const [port = "0", idsFile = "", tokenizerDir = ""] = process.argv.slice(2);
const words: number[] = await Bun.file(idsFile).json();
const pacer = new Pacer();
const MODEL = "bench";
const MAX_TOKENS = 131_072;
const PREFIX_BYTES = 5;
const HEADERS = { ":status": 200, "content-type": "application/grpc" };

const FIXED: Readonly<Record<string, () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>>> = {
  [SGLANG.healthCheck]: () => [HealthCheckResponse.encode({ healthy: true, message: "OK" }).finish()],
  [HEALTH.check]: () => [StandardHealth.encode({ status: 1 }).finish()],
  [SGLANG.getTokenizer]: () => tokenizerChunks(tokenizerDir),
  [SGLANG.getModelInfo]: () => [
    GetModelInfoResponse.encode(
      GetModelInfoResponse.fromPartial({
        modelPath: MODEL,
        tokenizerPath: MODEL,
        servedModelName: MODEL,
        isGeneration: true,
        maxContextLength: MAX_TOKENS,
        maxReqInputLen: MAX_TOKENS,
        vocabSize: 200_000,
        modelType: "llama",
        architectures: ["LlamaForCausalLM"],
      }),
    ).finish(),
  ],
  [SGLANG.getServerInfo]: () => [
    GetServerInfoResponse.encode(
      GetServerInfoResponse.fromPartial({
        serverArgs: { model_path: tokenizerDir, served_model_name: MODEL, disaggregation_mode: "null", dp_size: 1 },
        serverType: "grpc",
        maxTotalNumTokens: 10_000_000,
      }),
    ).finish(),
  ],
};

/** One answer on its way. */
class Sequence implements Paced {
  readonly #stream: ServerHttp2Stream;
  readonly #request: GenerateRequest;
  readonly #promptTokens: number;
  readonly #total: number;
  #given = 0;

  constructor(stream: ServerHttp2Stream, request: GenerateRequest) {
    this.#stream = stream;
    this.#request = request;
    this.#promptTokens = request.tokenized?.inputIds.length ?? 0;
    this.#total = request.samplingParams?.maxNewTokens ?? 1;
  }

  step(): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return false;
    if (stream.writableNeedDrain) return true;
    if (!this.#request.stream) {
      this.#complete(Array.from({ length: this.#total }, (_, at) => wordAt(at)));
      return false;
    }
    const word = wordAt(this.#given);
    this.#given += 1;
    stream.write(frameMessage(this.#chunk(word)));
    if (this.#given < this.#total) return true;
    this.#complete([word]);
    return false;
  }

  #chunk(word: number): Uint8Array {
    const value = {
      tokenIds: [word],
      promptTokens: this.#promptTokens,
      completionTokens: this.#given,
      cachedTokens: 0,
      reasoningTokens: 0,
      outputLogprobs: undefined,
      inputLogprobs: undefined,
      hiddenStates: [],
      index: 0,
    };
    const { requestId } = this.#request;
    return GenerateResponse.encode({ requestId, response: { $case: "chunk", value } }).finish();
  }

  #complete(outputIds: number[]): void {
    const message = GenerateResponse.fromPartial({
      requestId: this.#request.requestId,
      response: {
        $case: "complete",
        value: {
          outputIds,
          finishReason: "length",
          promptTokens: this.#promptTokens,
          completionTokens: this.#total,
          index: 0,
        },
      },
    });
    this.#stream.end(frameMessage(GenerateResponse.encode(message).finish()));
  }
}

function wordAt(index: number): number {
  return words[index % words.length] ?? 0;
}

async function answer(stream: ServerHttp2Stream, path: string, body: Uint8Array): Promise<void> {
  const fixed = FIXED[path];
  if (!fixed && path !== SGLANG.generate) {
    stream.respond({ ...HEADERS, "grpc-status": "12" }, { endStream: true });
    return;
  }
  stream.respond(HEADERS, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  if (fixed) {
    for await (const message of fixed()) stream.write(frameMessage(message));
    stream.end();
    return;
  }
  const request = GenerateRequest.decode(body);
  pacer.add(new Sequence(stream, request), Math.max(0, request.samplingParams?.topK ?? 0));
}

const server = createServer({ settings: { initialWindowSize: 1_048_576, maxConcurrentStreams: 10_000 } });
server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  const pieces: Uint8Array[] = [];
  stream.on("error", () => undefined);
  stream.on("data", (piece: Uint8Array) => pieces.push(piece));
  stream.on("end", () => void answer(stream, headers[":path"] ?? "", Buffer.concat(pieces).subarray(PREFIX_BYTES)));
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));

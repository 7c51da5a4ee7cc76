import type { Fault, WorkerSpec } from "../../src/simulate/loads/load.ts";
import { type BlockIds, BYTES_PER_TOKEN } from "./block-ids.ts";
import { Filler } from "./filler.ts";
import { TimedEngine } from "./timed-engine.ts";

/** Model that all engines of the benchmark serve. */
export const MODEL = "bench";
/** Tokens of an answer in one event after its first one, as engines do it with `--stream-interval`. */
const TOKENS_PER_EVENT = 8;
/** Tokens of an answer where the client does not say. */
const USUAL_OUTPUT_TOKENS = 4;
const encoder = new TextEncoder();

interface ChatBody {
  readonly messages: readonly { readonly content: string }[];
  readonly max_tokens?: number | null;
  /** The newer name: sglang-router rewrites the older one to it. */
  readonly max_completion_tokens?: number | null;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
}

/** An engine with the API of vLLM, as far as gateways and the benchmark's client use it. */
export class EngineServer {
  readonly #engine: TimedEngine;
  readonly #spec: WorkerSpec;
  readonly #ids: BlockIds;

  constructor(spec: WorkerSpec, ids: BlockIds) {
    this.#spec = spec;
    this.#ids = ids;
    this.#engine = new TimedEngine(spec);
  }

  /** Lets a fault of the load begin now. */
  strike(fault: Fault): void {
    this.#engine.strike(fault);
  }

  listen(port: number): void {
    Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      maxRequestBodySize: 64 * 1024 * 1024,
      fetch: (request) => this.#answer(request),
    });
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/chat/completions") return this.#chat((await request.json()) as ChatBody, request.signal);
    const { engine, kvTokens } = this.#spec;
    switch (pathname) {
      case "/health":
        return new Response("OK");
      case "/version":
        return Response.json({ version: "0.32.0" });
      case "/v1/models":
        return Response.json({
          object: "list",
          data: [{ id: MODEL, object: "model", created: 1, owned_by: "vllm", root: MODEL, max_model_len: 262_144 }],
        });
      case "/metrics": {
        const blocks = Math.floor(kvTokens / engine.blockTokens);
        return new Response(
          `vllm:cache_config_info{block_size="${engine.blockTokens}",num_gpu_blocks="${blocks}"} 1.0\n`,
        );
      }
      default:
        return new Response("not found", { status: 404 });
    }
  }

  #chat(body: ChatBody, signal: AbortSignal): Response | Promise<Response> {
    const prompt = encoder.encode(body.messages.map(({ content }) => content).join(""));
    const promptTokens = Math.max(1, Math.ceil(prompt.length / BYTES_PER_TOKEN));
    const outputTokens = body.max_tokens ?? body.max_completion_tokens ?? USUAL_OUTPUT_TOKENS;
    const answer = new Filler(Bun.hash.xxHash32(prompt));
    const { blockTokens } = this.#spec.engine;
    // What follows the prompt is known from the beginning: the engine caches the blocks of the answer as it gives its tokens.
    const text = encoder.encode(answer.tokens(0, outputTokens));
    const blocks = this.#ids.of(Buffer.concat([prompt, text]), blockTokens);
    const request = { blocks, promptTokens, outputTokens, receivedTokens: 0 };
    if (!this.#engine.fits(request))
      return Response.json({ error: { message: "too long", code: 400 } }, { status: 400 });
    const reply = new Reply(answer, promptTokens, body.stream_options?.include_usage === true);
    if (body.stream !== true) return this.#whole(reply, request, signal);
    return this.#stream(reply, request, signal);
  }

  #stream(reply: Reply, request: Parameters<TimedEngine["submit"]>[0], signal: AbortSignal): Response {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const leave = this.#engine.submit(request, {
          onFirstToken: (cachedTokens) => controller.enqueue(reply.first(cachedTokens)),
          onToken: () => {
            const event = reply.next();
            if (event) controller.enqueue(event);
          },
          onDone: () => {
            controller.enqueue(reply.end());
            controller.close();
          },
        });
        signal.addEventListener("abort", leave);
      },
    });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  }

  async #whole(reply: Reply, request: Parameters<TimedEngine["submit"]>[0], signal: AbortSignal): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const leave = this.#engine.submit(request, {
      onFirstToken: (cachedTokens) => void reply.first(cachedTokens),
      onToken: () => void reply.next(),
      onDone: resolve,
    });
    signal.addEventListener("abort", leave);
    await promise;
    return Response.json(reply.whole());
  }
}

/** The answer to one request, as it grows. */
class Reply {
  readonly #answer: Filler;
  readonly #promptTokens: number;
  readonly #hasUsage: boolean;
  #cachedTokens = 0;
  #tokens = 0;
  #told = 0;

  constructor(answer: Filler, promptTokens: number, hasUsage: boolean) {
    this.#answer = answer;
    this.#promptTokens = promptTokens;
    this.#hasUsage = hasUsage;
  }

  first(cachedTokens: number): Uint8Array {
    this.#cachedTokens = cachedTokens;
    this.#tokens = 1;
    return this.#tell();
  }

  /** One more token; undefined while the next event is not full. */
  next(): Uint8Array | undefined {
    this.#tokens += 1;
    return this.#tokens - this.#told >= TOKENS_PER_EVENT ? this.#tell() : undefined;
  }

  end(): Uint8Array {
    const rest = this.#tokens > this.#told ? [this.#tell()] : [];
    const usage = this.#hasUsage ? [this.#event({ choices: [], usage: this.#usage() })] : [];
    return Buffer.concat([
      ...rest,
      this.#event({ choices: [{ index: 0, delta: {}, finish_reason: "length" }] }),
      ...usage,
      encoder.encode("data: [DONE]\n\n"),
    ]);
  }

  whole(): object {
    const content = this.#answer.tokens(0, this.#tokens);
    return {
      id: "chatcmpl-bench",
      object: "chat.completion",
      created: 1_700_000_000,
      model: MODEL,
      choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "length" }],
      usage: this.#usage(),
    };
  }

  #tell(): Uint8Array {
    const content = this.#answer.tokens(this.#told, this.#tokens);
    this.#told = this.#tokens;
    return this.#event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
  }

  #usage(): object {
    return {
      prompt_tokens: this.#promptTokens,
      completion_tokens: this.#tokens,
      total_tokens: this.#promptTokens + this.#tokens,
      prompt_tokens_details: { cached_tokens: Math.max(0, this.#cachedTokens) },
    };
  }

  #event(members: object): Uint8Array {
    const head = { id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_700_000_000, model: MODEL };
    return encoder.encode(`data: ${JSON.stringify({ ...head, ...members })}\n\n`);
  }
}

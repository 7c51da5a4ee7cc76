import type { Metrics } from "../../observability/metrics.ts";
import type { TokenCounts } from "../../observability/request-record.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import type { ModelSnapshot } from "../../worker/model-snapshot.ts";
import type { PdRequest, SharedIds } from "../../engine/connector.ts";
import { connectorOf, fitTogether, prefillsAlone } from "../../engine/connectors.ts";
import { dataParallelSize, paramsFor } from "../../engine/kv-facts.ts";
import { newSharedIds } from "../../engine/shared-ids.ts";
import { countHandover, pdRefusal, PdTry } from "../pd/pd-try.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import { PAIR, type Sender } from "../sender.ts";
import type { Legs, Try } from "../try.ts";
import type { FromPrefill } from "./answer-assembler.ts";
import { type Destination, destinationOf, EngineCalls, promptId, type Started } from "./engine-calls.ts";
import type { KvHandover } from "../../engine/codec.ts";
import type { GrpcSenderDeps } from "./grpc-sender.ts";
import type { EncodedPrompt } from "./prompt-encoder.ts";
import { generationOf, readTokenRequest, tokenRefusal, type TokenRequest } from "./token-request.ts";

/** The result of one prompt's prefill. */
interface Prefilled {
  readonly kvParams: string | undefined;
  readonly fromPrefill: FromPrefill;
}

/** One prompt on both sides. */
interface PairedPrompt {
  readonly prompt: EncodedPrompt;
  readonly ids: SharedIds;
  readonly requestId: string;
  /** Filled while decode runs, where both run at the same time. */
  readonly fromPrefill: FromPrefill;
}

/** Sends to a prefill and a decode worker over gRPC: tokens as with one worker, legs and connectors as over HTTP. */
export class GrpcPdSender implements Sender<TokenRequest> {
  readonly mode = "grpc";
  readonly speaksTokens = true;
  readonly #texts: GrpcSenderDeps["texts"];
  readonly #metrics: Metrics;
  readonly #calls: EngineCalls;

  constructor(deps: GrpcSenderDeps & { readonly metrics: Metrics }) {
    this.#texts = deps.texts;
    this.#metrics = deps.metrics;
    this.#calls = new EngineCalls(deps);
  }

  readonly fits = fitTogether;
  readonly prefillsAlone = prefillsAlone;

  refusal(endpoint: Endpoint): string | undefined {
    return pdRefusal(endpoint) ?? tokenRefusal(endpoint);
  }

  rolesFor(): Legs<WorkerType> {
    return PAIR;
  }

  prepare(request: InferenceRequest, serving: ModelSnapshot): Promise<TokenRequest> {
    return readTokenRequest(request, serving, this.#texts);
  }

  async send(request: TokenRequest, { prefill, answer: decode }: Try): Promise<WorkerResponse> {
    const to = destinationOf(request, decode.worker);
    if (!prefill) {
      countHandover(this.#metrics, request, connectorOf(decode.worker), "not_needed");
      return this.#calls.generate(request, to);
    }
    const connector = connectorOf(prefill.worker);
    if (connector.isOneSequence && generationOf(request).generation.n > 1) {
      prefill.abandon();
      countHandover(this.#metrics, request, connector, "skipped");
      return this.#calls.generate(request, to);
    }
    const pd = new PdTry({ metrics: this.#metrics, request, connector, prefill, decode });
    return pd.run(() => this.#pair(pd, { ...to, requestId: pd.asked.requestId, signal: pd.exchange.decodeSignal }));
  }

  async #pair(pd: PdTry<TokenRequest>, to: Destination): Promise<WorkerResponse> {
    const { request, connector, asked } = pd;
    const prompts = request.prompts.map((prompt, at): PairedPrompt => ({
      prompt,
      // Over gRPC each prompt is a separate call with one room.
      ids: newSharedIds(asked, 1),
      requestId: promptId(to, at),
      fromPrefill: {},
    }));
    const prefilled = this.#prefillAll(pd, to, prompts);
    // If decode cannot be asked, prefill's promise is not awaited; the exchange reports its failure.
    prefilled.catch(() => undefined);
    const isFirst = connector.order === "prefill_first";
    const kvParams = isFirst ? await prefilled : [];
    const decoded = await pd.decoded(() => this.#decode(pd, to, prompts, kvParams));
    // Only the prompt's log-probabilities, which stand before the answer's, need the end of prefill.
    if (generationOf(request).generation.promptLogprobs) await prefilled;
    return decoded;
  }

  /** Prefills each prompt. Resolves to the hand-over for decode of each. */
  #prefillAll(
    pd: PdTry<TokenRequest>,
    to: Destination,
    prompts: readonly PairedPrompt[],
  ): Promise<(string | undefined)[]> {
    const { connector, asked, exchange } = pd;
    const first = { ...to, worker: asked.prefill, isStreamed: false, signal: exchange.prefillSignal };
    return pd.prefilled({
      answered: () =>
        Promise.all(
          prompts.map(async ({ prompt, ids, requestId, fromPrefill }) => {
            const kv = connector.handover(asked, ids, "prefill");
            const done = await this.#prefill(pd, { ...first, requestId, kv, rank: rankOf(asked, ids) }, prompt);
            Object.assign(fromPrefill, done.fromPrefill);
            return done.kvParams;
          }),
        ),
      outcomeOf: (done) =>
        connector.handsOver === undefined || done.every((kvParams) => kvParams !== undefined)
          ? "handed_over"
          : "missing",
      tokensOf: () => tokensOf(prompts),
    });
  }

  /** Reads the prefill of one prompt to its end. */
  async #prefill(
    { request, exchange }: PdTry<TokenRequest>,
    to: Destination,
    prompt: EncodedPrompt,
  ): Promise<Prefilled> {
    const { stream, requestId } = this.#calls.start(request, to, prompt);
    exchange.prefillSignal.addEventListener("abort", () => this.#calls.abort(to, requestId), { once: true });
    let kvParams: string | undefined;
    let fromPrefill: FromPrefill = {};
    for (let message = await stream.read(); message; message = await stream.read()) {
      const step = to.engine.decodeGenerate(message, to.isStreamed);
      if (!step) continue;
      kvParams ??= step.kvParams;
      const { cachedTokens, promptLogprobs } = step;
      fromPrefill = promptLogprobs ? { cachedTokens, promptLogprobs } : { cachedTokens };
    }
    return { kvParams, fromPrefill };
  }

  #decode(
    { request, connector, asked }: PdTry<TokenRequest>,
    to: Destination,
    prompts: readonly PairedPrompt[],
    kvParams: readonly (string | undefined)[],
  ): WorkerResponse {
    const started = prompts.map(({ prompt, ids, requestId, fromPrefill }, at): Started => {
      const kv =
        connector.handsOver === undefined ? connector.handover(asked, ids, "decode") : handedOver(kvParams[at]);
      return { ...this.#calls.start(request, { ...to, requestId, kv }, prompt), fromPrefill };
    });
    return this.#calls.answer(request, to, started);
  }
}

/** The prefill worker's own counts, over all prompts. */
function tokensOf(prompts: readonly PairedPrompt[]): TokenCounts {
  return {
    promptTokens: prompts.reduce((sum, { prompt }) => sum + prompt.ids.length, 0),
    completionTokens: undefined,
    cachedTokens: prompts.reduce((sum, { fromPrefill }) => sum + (fromPrefill.cachedTokens ?? 0), 0),
  };
}

/** The rank that prefills, where there are several; it agrees with the room. */
function rankOf({ prefill }: PdRequest, { rank }: SharedIds): number | undefined {
  return dataParallelSize(prefill) > 1 ? rank : undefined;
}

/** Without them decode prefills for itself. */
function handedOver(kvParams: string | undefined): KvHandover | undefined {
  return kvParams === undefined ? undefined : paramsFor("decode", kvParams);
}

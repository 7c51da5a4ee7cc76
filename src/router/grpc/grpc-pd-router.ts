import { engineRequestId } from "../engine-request-id.ts";
import { GatewayError } from "../../errors/errors.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { UpstreamResponse } from "../../transport/upstream.ts";
import type { Worker } from "../../worker/worker.ts";
import type { Legs, Try } from "../try.ts";
import type { LegChange, PdConnector, PdRequest, SharedIds } from "../../engine/connector.ts";
import { connectorOf, fitTogether } from "../../engine/connectors.ts";
import { bootstrapPort, dataParallelSize } from "../../engine/kv-facts.ts";
import { newSharedIds } from "../../engine/shared-ids.ts";
import { PdExchange, PdResponse } from "../pd/pd-exchange.ts";
import { countHandover, pdRefusal, watchPrefill } from "../pd/pd-prefill.ts";
import type { EngineStep, KvHandover } from "../../engine/codec.ts";
import { codecOf } from "../../engine/engines.ts";
import {
  generationOf,
  GrpcRouter,
  isEngineStreamed,
  type Leg,
  promptId,
  type Started,
  type TokenRequest,
} from "./grpc-router.ts";
import type { EncodedPrompt } from "./prompt-encoder.ts";
import type { WorkerType } from "../../util/worker-type.ts";

const BOTH: Legs<WorkerType> = { prefill: "prefill", answer: "decode" };
/** Member of a connector's part of a body that engines take as JSON of its own over gRPC. */
const KV_PARAMS = "kv_transfer_params";
/** Rooms are 31 bits here, as the field is an int32. */
const ROOM_BITS = 0x7fff_ffffn;

/** What the prefill of one prompt left. */
interface Prefilled {
  readonly kvParams: string | undefined;
  readonly fromPrefill: Partial<Pick<EngineStep, "cachedTokens" | "promptLogprobs">>;
}

/** A prefill and a decode worker for each request, over gRPC: tokens as in GrpcRouter, legs and connectors as in HttpPdRouter. */
export class GrpcPdRouter extends GrpcRouter {
  override readonly kind = "grpc_pd";

  override refusal(endpoint: Endpoint): string | undefined {
    return pdRefusal(endpoint) ?? super.refusal(endpoint);
  }

  protected override rolesFor(): Legs<WorkerType> {
    return BOTH;
  }

  protected override fits(prefill: Worker, decode: Worker): boolean {
    return prefill.info.engine === decode.info.engine && fitTogether(prefill, decode);
  }

  protected override async send(request: TokenRequest, { prefill, answer: decode }: Try): Promise<UpstreamResponse> {
    if (!prefill) throw new GatewayError("internal_error", "a try without a pair of workers");
    const connector = connectorOf(prefill.worker);
    const { api, generation } = generationOf(request);
    const leg: Leg = {
      worker: decode.worker,
      engine: codecOf(decode.worker),
      requestId: engineRequestId(request.record),
      isStreamed: isEngineStreamed(request, api),
      kv: undefined,
      rank: undefined,
      signal: request.signal,
    };
    if (connector.isOneSequence && generation.n > 1) {
      prefill.abandon();
      countHandover(this.deps.metrics, { request, connector }, "skipped");
      return this.generate(request, leg);
    }
    const exchange = new PdExchange(prefill, decode, request.signal);
    try {
      return await this.#pair(request, exchange, connector, { ...leg, signal: exchange.decodeSignal });
    } catch (error) {
      exchange.close(error);
      throw error;
    }
  }

  async #pair(
    request: TokenRequest,
    exchange: PdExchange,
    connector: PdConnector,
    leg: Leg,
  ): Promise<UpstreamResponse> {
    const { worker: prefillWorker } = exchange.prefill;
    const pd: PdRequest = {
      endpoint: request.endpoint,
      body: request.body,
      prefill: prefillWorker,
      decode: leg.worker,
      requestId: request.record.requestId,
    };
    const prompts = request.prompts.map((prompt, at) => ({
      prompt,
      // Over gRPC each prompt is a call of its own, and meets in one room.
      ids: newSharedIds(pd, 1),
      requestId: promptId(leg, at),
    }));
    const prefillLeg = { ...leg, worker: prefillWorker, isStreamed: false, signal: exchange.prefillSignal };
    const all = watchPrefill(
      this.deps.metrics,
      { request, connector, exchange },
      () =>
        Promise.all(
          prompts.map(({ prompt, ids, requestId }) => {
            const kv = handover(connector.prefill(pd, ids), pd, ids, true);
            return this.#prefill(request, exchange, { ...prefillLeg, requestId, kv, rank: rankOf(pd, ids) }, prompt);
          }),
        ),
      (done) =>
        connector.handsOver === undefined || done.every(({ kvParams }) => kvParams !== undefined)
          ? "handed_over"
          : "missing",
    );
    // Where decode cannot even be asked nobody waits for it; the exchange tells of its failure.
    all.catch(() => undefined);
    const isFirst = connector.order === "prefill_first";
    const done = isFirst ? await all : [];
    /** Filled in while decode runs, where both run at the same time. */
    const fromPrefill = prompts.map((_, at) => ({ ...done[at]?.fromPrefill }));
    exchange.decodeAsked();
    const started = prompts.map(({ prompt, ids, requestId }, at): Started => {
      const own = handover(connector.decode(pd, ids), pd, ids, false);
      const kv = connector.handsOver === undefined ? own : handedOver(done[at]?.kvParams);
      return { ...this.start(request, { ...leg, requestId, kv }, prompt), fromPrefill: fromPrefill[at] };
    });
    const response = new PdResponse(exchange, this.answer(request, leg, started));
    if (isFirst) return response;
    const told = all.then((later) => later.forEach((one, at) => Object.assign(fromPrefill[at] ?? {}, one.fromPrefill)));
    // Log-probabilities of the prompt stand before those of the answer; else nobody waits, and a failure is told by the exchange.
    if (generationOf(request).generation.promptLogprobs) await told;
    else told.catch(() => undefined);
    return response;
  }

  /** Reads the prefill of one prompt to its end. */
  async #prefill(request: TokenRequest, exchange: PdExchange, leg: Leg, prompt: EncodedPrompt): Promise<Prefilled> {
    const { stream, requestId } = this.start(request, leg, prompt);
    exchange.prefillSignal.addEventListener("abort", () => this.abort(leg, requestId), { once: true });
    let kvParams: string | undefined;
    let fromPrefill: Prefilled["fromPrefill"] = {};
    for (let message = await stream.read(); message; message = await stream.read()) {
      const step = leg.engine.decodeGenerate(message, leg.isStreamed);
      if (!step) continue;
      kvParams ??= step.kvParams;
      const { cachedTokens, promptLogprobs } = step;
      fromPrefill = promptLogprobs ? { cachedTokens, promptLogprobs } : { cachedTokens };
    }
    return { kvParams, fromPrefill };
  }
}

/** What a leg is told, made of what the connector says to HTTP workers in their bodies. */
function handover(
  { members }: LegChange,
  { prefill }: PdRequest,
  { rooms, rank }: SharedIds,
  isPrefill: boolean,
): KvHandover | undefined {
  const room = members.get("bootstrap_room");
  if (room !== undefined) {
    return {
      kind: "room",
      host: new URL(prefill.url).hostname,
      port: bootstrapPort(prefill),
      room: roomOf(rooms[0] ?? 0n, dataParallelSize(prefill), rank),
    };
  }
  const json = members.get(KV_PARAMS);
  return json === undefined ? undefined : { kind: "params", json: String(json), isPrefill };
}

/** Which rank prefills, where there are several: the room says the same. */
function rankOf({ prefill }: PdRequest, { rank }: SharedIds): number | undefined {
  return dataParallelSize(prefill) > 1 ? rank : undefined;
}

/** Of 31 bits, and of the rank modulo the ranks. */
function roomOf(room: bigint, ranks: number, rank: number): number {
  const bits = Number(room & ROOM_BITS);
  const moved = bits - (bits % ranks) + rank;
  return moved > 0 && moved <= Number(ROOM_BITS) ? moved : rank + ranks;
}

/** Without them decode prefills for itself. */
function handedOver(kvParams: string | undefined): KvHandover | undefined {
  return kvParams === undefined ? undefined : { kind: "params", json: kvParams, isPrefill: false };
}

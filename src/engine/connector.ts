import type { Endpoint } from "../protocol/endpoint.ts";
import type { JsonBody } from "../protocol/json/json-body.ts";
import type { KvHandover } from "./codec.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { Worker } from "../worker/worker.ts";

/** A request that a prefill and a decode worker answer together. */
export interface PdRequest {
  readonly endpoint: Endpoint;
  readonly body: JsonBody;
  readonly prefill: Worker;
  readonly decode: Worker;
  readonly requestId: string;
}

/** The differences between a leg's request and the client's. */
export interface LegChange {
  /** Members of the body, as JSON text. */
  readonly members: ReadonlyMap<string, Uint8Array | string>;
  readonly requestId?: string;
  /** Further header lines. */
  readonly headers?: string;
}

/** The part of a request that a worker of a pair does. */
export type PdPart = Exclude<WorkerType, "regular">;

/** How a KV cache gets from one engine to the other, as far as the gateway is involved. */
export interface PdConnector {
  /** Name for metrics and logs. */
  readonly name: string;
  /** Whether the engines accept the connector's members on this endpoint. */
  readonly serves: (endpoint: Endpoint) => boolean;
  /** Both are asked at once, or decode after prefill has answered. */
  readonly order: "together" | "prefill_first";
  /** Whether prefill's answer serves one sequence only. Requests for several then go to the decode worker alone. */
  readonly isOneSequence: boolean;
  /** Whether a decode worker answers a request that no prefill worker has had: it prefills for itself. */
  readonly prefillsAlone: boolean;
  /** Member of prefill's answer that decode gets unchanged. */
  readonly handsOver: string | undefined;
  /** Which facts of prefill's answer go into decode's, because decode does not know them. */
  readonly merges: "input_logprobs" | "cached_tokens" | "nothing";
  /** Whether the gateway knows enough about the worker for this part of a request. */
  readonly suffices: (worker: Worker, part: PdPart) => boolean;
  prefill(pd: PdRequest, shared: SharedIds): LegChange;
  decode(pd: PdRequest, shared: SharedIds): LegChange;
  /**
   * The part of a gRPC message that takes the place of these members. Over gRPC each prompt is a separate call with one room.
   * Undefined: the message has no such part. If `handsOver` is set, the decode worker gets the prefill worker's answer instead.
   */
  handover(pd: PdRequest, shared: SharedIds, part: PdPart): KvHandover | undefined;
}

/** Ids that both legs of one request share. The gateway makes them, and never takes a client's. */
export interface SharedIds {
  /** Data-parallel rank that prefills. */
  readonly rank: number;
  /** SGLang: one for each sequence, 63 bits. Modulo the prefill worker's number of ranks it is the rank. */
  readonly rooms: readonly bigint[];
  /** Mooncake's transfer id. */
  readonly transferId: string;
  /** P2pNccl: a request id with the addresses of both engines. */
  readonly requestId: string;
}

import type { Endpoint } from "../protocol/endpoint.ts";
import type { JsonBody } from "../protocol/json/json-body.ts";
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

/** What one of the two is sent, where it is not what the client sent. */
export interface LegChange {
  /** Members of the body, as JSON text. */
  readonly members: ReadonlyMap<string, Uint8Array | string>;
  readonly requestId?: string;
  /** Further header lines. */
  readonly headers?: string;
}

/** What of a request a worker of a pair does. */
export type PdPart = Exclude<WorkerType, "regular">;

/** How a KV cache gets from one engine to the other, as far as a gateway has a part in it. */
export interface PdConnector {
  /** For metrics and logs. */
  readonly name: string;
  /** Whether the engines take on this endpoint what the connector sends them. */
  readonly serves: (endpoint: Endpoint) => boolean;
  /** Both are asked at once, or decode once prefill has answered. */
  readonly order: "together" | "prefill_first";
  /** One answer of prefill is enough for one sequence only: requests for several are left to the decode worker alone. */
  readonly isOneSequence: boolean;
  /** Member of prefill's answer that decode must be given, as it is. */
  readonly handsOver: string | undefined;
  /** What cannot be counted by the decode worker is taken from prefill's answer. */
  readonly merges: "input_logprobs" | "cached_tokens" | "nothing";
  /** Whether enough is known of the worker for this part of a request. */
  readonly suffices: (worker: Worker, part: PdPart) => boolean;
  prefill(pd: PdRequest, shared: SharedIds): LegChange;
  decode(pd: PdRequest, shared: SharedIds): LegChange;
}

/** What both legs of one request have in common, made by the gateway and never taken from a client. */
export interface SharedIds {
  /** Data-parallel rank that prefills. */
  readonly rank: number;
  /** SGLang: one for each sequence, of 63 bits. Modulo the ranks of the prefill worker they are its rank. */
  readonly rooms: readonly bigint[];
  /** Mooncake. */
  readonly transferId: string;
  /** P2pNccl: tells both engines where the other one is. */
  readonly requestId: string;
}

import type { Endpoint } from "../protocol/endpoint.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerResponse } from "./response-stage.ts";
import type { InferenceRequest } from "./router.ts";
import type { Legs, Try } from "./try.ts";

/** Sends requests to one kind of workers. `WorkerRouter` does everything that the kinds have in common. */
export interface Sender<Prepared extends InferenceRequest = InferenceRequest> {
  /** Protocol of its workers. */
  readonly mode: ConnectionMode;
  /** Whether these workers take tokens. The gateway's tokenizer then answers the routes that only need a tokenizer. */
  readonly speaksTokens: boolean;
  /** Whether these two can serve one request together. */
  readonly fits: (prefill: Worker, decode: Worker) => boolean;
  /** Whether a decode worker can answer a request to this endpoint without a prefill worker. */
  readonly prefillsAlone: (decode: Worker, endpoint: Endpoint) => boolean;
  /** Why these workers cannot serve the endpoint, as a sentence for the client; undefined where they can. */
  refusal(endpoint: Endpoint): string | undefined;
  /** The types of the workers that a request to this endpoint needs. */
  rolesFor(endpoint: Endpoint): Legs<WorkerType>;
  /**
   * Prepares a request once, before its workers are chosen among `serving`, the workers of its model: for token engines it makes
   * tokens. Throws the errors of the request.
   */
  prepare(request: InferenceRequest, serving: ModelSnapshot): Prepared | Promise<Prepared>;
  /**
   * Sends to the workers of one try, and resolves with the answer's head and the body to be read. Ends the attempt of the
   * worker that prefills; the relay ends the attempt of the worker that answers. Where the sender knows which of the two
   * failed, it ends that attempt with the error.
   */
  send(request: Prepared, tried: Try): Promise<WorkerResponse>;
}

/** One worker of any type but prefill and decode. */
export const REGULAR: Legs<WorkerType> = { prefill: undefined, answer: "regular" };
/** A pair of workers. */
export const PAIR: Legs<WorkerType> = { prefill: "prefill", answer: "decode" };
/** Only the decode worker of a pair. */
export const DECODE_ONLY: Legs<WorkerType> = { prefill: undefined, answer: "decode" };

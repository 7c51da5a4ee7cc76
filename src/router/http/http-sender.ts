import { pinnedBody, rankHeader } from "../../engine/pinned-request.ts";
import type { Legs, Try } from "../try.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import { REGULAR, type Sender } from "../sender.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import type { HttpForwarder } from "./http-forwarder.ts";

/** Sends the client's bytes to one HTTP worker. */
export class HttpSender implements Sender {
  readonly mode = "http";
  readonly speaksTokens = false;
  readonly #forwarder: HttpForwarder;

  constructor(forwarder: HttpForwarder) {
    this.#forwarder = forwarder;
  }

  readonly fits = (): boolean => true;
  readonly prefillsAlone = (): boolean => false;

  refusal(): undefined {
    return undefined;
  }

  rolesFor(): Legs<WorkerType> {
    return REGULAR;
  }

  prepare(request: InferenceRequest): InferenceRequest {
    return request;
  }

  send(request: InferenceRequest, { answer: { worker, chargedAt } }: Try): Promise<WorkerResponse> {
    const { body, signal } = request;
    if (worker.pinnedRank === undefined) {
      return this.#forwarder.forward(request, { worker, body: body.bytes, signal, now: chargedAt });
    }
    const to = { worker, body: pinnedBody(worker, body), headers: rankHeader(worker), signal, now: chargedAt };
    return this.#forwarder.forward(request, to);
  }
}

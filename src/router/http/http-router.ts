import { GatewayError } from "../../errors/errors.ts";
import type { UpstreamResponse } from "../../transport/upstream.ts";
import type { WorkerType } from "../../worker/worker.ts";
import type { Attempt } from "../attempt.ts";
import type { InferenceRequest } from "../router.ts";
import { WorkerRouter, type WorkerRouterDeps } from "../worker-router.ts";
import { HttpSender, type HttpSenderDeps } from "./http-sender.ts";

export type HttpRouterDeps = WorkerRouterDeps & HttpSenderDeps;

const ROLES: readonly WorkerType[] = ["regular"];

/** One HTTP worker for each request, which gets the client's bytes: the seed's HttpRouter. */
export class HttpRouter extends WorkerRouter {
  override readonly kind = "http";
  protected override readonly mode = "http";
  readonly #sender: HttpSender;

  constructor(deps: HttpRouterDeps) {
    super(deps);
    this.#sender = new HttpSender(deps);
  }

  override refusal(): undefined {
    return undefined;
  }

  protected override rolesFor(): readonly WorkerType[] {
    return ROLES;
  }

  protected override prepare(request: InferenceRequest): InferenceRequest {
    return request;
  }

  protected override send(request: InferenceRequest, [attempt]: readonly Attempt[]): Promise<UpstreamResponse> {
    if (!attempt) throw new GatewayError("internal_error", "a try without a worker");
    return this.#sender.send(request, { worker: attempt.worker, body: request.body.bytes, signal: request.signal });
  }
}

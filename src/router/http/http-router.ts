import type { UpstreamResponse } from "../../transport/upstream.ts";
import type { InferenceRequest } from "../router.ts";
import type { Legs, Try } from "../try.ts";
import { WorkerRouter, type WorkerRouterDeps } from "../worker-router.ts";
import { HttpSender, type HttpSenderDeps } from "./http-sender.ts";
import { type ParsedOutputDeps, type ParsedRequest, withParser } from "./parsed-request.ts";
import { parsed } from "./parsed-response.ts";
import type { WorkerType } from "../../util/worker-type.ts";

export type HttpRouterDeps = WorkerRouterDeps & HttpSenderDeps & ParsedOutputDeps;

const ROLES: Legs<WorkerType> = { prefill: undefined, answer: "regular" };

/** One HTTP worker for each request, which gets the client's bytes: the seed's HttpRouter. */
export class HttpRouter extends WorkerRouter<ParsedRequest> {
  override readonly kind = "http";
  protected override readonly mode = "http";
  readonly #deps: HttpRouterDeps;
  readonly #sender: HttpSender;

  constructor(deps: HttpRouterDeps) {
    super(deps);
    this.#deps = deps;
    this.#sender = new HttpSender(deps);
  }

  override refusal(): undefined {
    return undefined;
  }

  protected override rolesFor(): Legs<WorkerType> {
    return ROLES;
  }

  protected override prepare(request: InferenceRequest): ParsedRequest | Promise<ParsedRequest> {
    const { parsedOutput } = this.#deps;
    return parsedOutput ? withParser(request, parsedOutput) : request;
  }

  protected override send(request: ParsedRequest, { answer: { worker } }: Try): Promise<UpstreamResponse> {
    const { body, parser, signal } = request;
    const upstream = this.#sender.send(request, { worker, body: body.bytes, signal });
    return parser ? parsed(upstream, parser) : upstream;
  }
}

import type { Endpoint } from "../../protocol/endpoint.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import type { ModelSnapshot } from "../../worker/model-snapshot.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import { REGULAR, type Sender } from "../sender.ts";
import type { Legs, Try } from "../try.ts";
import { destinationOf, EngineCalls, type EngineCallsDeps } from "./engine-calls.ts";
import type { ModelTexts } from "./model-text.ts";
import { readTokenRequest, tokenRefusal, type TokenRequest } from "./token-request.ts";

export interface GrpcSenderDeps extends EngineCallsDeps {
  readonly texts: Pick<ModelTexts, "of">;
}

/** Sends to one gRPC worker: turns text into tokens, and tokens into text. */
export class GrpcSender implements Sender<TokenRequest> {
  readonly mode = "grpc";
  readonly speaksTokens = true;
  readonly #texts: GrpcSenderDeps["texts"];
  readonly #calls: EngineCalls;

  constructor(deps: GrpcSenderDeps) {
    this.#texts = deps.texts;
    this.#calls = new EngineCalls(deps);
  }

  readonly fits = (): boolean => true;
  readonly prefillsAlone = (): boolean => false;

  refusal(endpoint: Endpoint): string | undefined {
    return tokenRefusal(endpoint);
  }

  rolesFor(): Legs<WorkerType> {
    return REGULAR;
  }

  prepare(request: InferenceRequest, serving: ModelSnapshot): Promise<TokenRequest> {
    return readTokenRequest(request, serving, this.#texts);
  }

  async send(request: TokenRequest, { answer: { worker } }: Try): Promise<WorkerResponse> {
    const { job } = request;
    return job.kind === "embed"
      ? this.#calls.embed(request, worker, job.embedding)
      : this.#calls.generate(request, destinationOf(request, worker));
  }
}

import type { Endpoint } from "../../protocol/endpoint.ts";
import type { ConnectionMode } from "../../util/parse-worker-url.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import type { ModelSnapshot } from "../../worker/model-snapshot.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import type { Sender } from "../sender.ts";
import type { Legs, Try } from "../try.ts";
import type { PromptTokens } from "./prompt-tokens.ts";

/** Wraps a sender, and gives policies the prompt as tokens where that helps them. */
export class TokenizingSender<Prepared extends InferenceRequest> implements Sender<Prepared> {
  readonly mode: ConnectionMode;
  readonly speaksTokens: boolean;
  readonly fits: Sender["fits"];
  readonly prefillsAlone: Sender["prefillsAlone"];
  readonly #inner: Sender<Prepared>;
  readonly #tokens: PromptTokens;

  constructor(inner: Sender<Prepared>, tokens: PromptTokens) {
    this.mode = inner.mode;
    this.speaksTokens = inner.speaksTokens;
    this.fits = inner.fits;
    this.prefillsAlone = inner.prefillsAlone;
    this.#inner = inner;
    this.#tokens = tokens;
  }

  refusal(endpoint: Endpoint): string | undefined {
    return this.#inner.refusal(endpoint);
  }

  rolesFor(endpoint: Endpoint): Legs<WorkerType> {
    return this.#inner.rolesFor(endpoint);
  }

  prepare(request: InferenceRequest, serving: ModelSnapshot): Prepared | Promise<Prepared> {
    const prepared = this.#inner.prepare(request, serving);
    if (!this.#tokens.mayBeWanted(serving)) return prepared;
    const role = this.rolesFor(request.endpoint);
    const workers = serving.of(this.mode, role.prefill ?? role.answer);
    if (!this.#tokens.areWanted(request, workers, role.prefill ?? role.answer)) return prepared;
    return prepared instanceof Promise
      ? prepared.then((one) => this.#tokens.of(one, workers))
      : this.#tokens.of(prepared, workers);
  }

  send(request: Prepared, tried: Try): Promise<WorkerResponse> {
    return this.#inner.send(request, tried);
  }
}

import { askModels, type AskModelsDeps } from "../router/ask-models.ts";
import type { ModelPlans } from "../router/model-plans.ts";
import type { InferenceRequest } from "../router/router.ts";
import type { Reply } from "../transport/downstream.ts";
import type { Permit } from "./admission.ts";
import { type Entry, type Gate, NO_PERMIT } from "./gate.ts";

export interface ModelEntryDeps extends AskModelsDeps {
  readonly gate: Pick<Gate, "enterModel">;
  /** Which models answer for the names of the configuration; undefined where it has none. */
  readonly plans: ModelPlans | undefined;
  readonly route: (request: InferenceRequest) => Promise<Reply>;
  /** Waits for a place in line, and counts the request as waiting for so long. */
  readonly inLine: (place: Promise<Permit>) => Promise<Permit>;
}

/** Brings a request to the model that its client named, or to the models that answer for that name. Each model has its own places. */
export class ModelEntry {
  readonly #deps: ModelEntryDeps;

  constructor(deps: ModelEntryDeps) {
    this.#deps = deps;
  }

  /** Rejects with the errors of the gate and of the router. */
  answer(request: InferenceRequest, entry: Entry): Promise<Reply> {
    const plan = this.#deps.plans?.planFor(request, entry.client);
    if (!plan) return this.#enter(request, entry);
    return askModels(this.#deps, request, plan, (named) => this.#enter(named, entry));
  }

  #enter(request: InferenceRequest, entry: Entry): Promise<Reply> {
    const { gate, route, inLine } = this.#deps;
    const { model, signal } = request;
    if (model === undefined) return route(request);
    const place = gate.enterModel(model, entry, signal);
    if (place instanceof Promise) return inLine(place).then((permit) => this.#holding(permit, request));
    return place === NO_PERMIT ? route(request) : this.#holding(place, request);
  }

  /** Holds the place until the request is over, or its model could not answer: then another one may be asked. */
  async #holding(permit: Permit, request: InferenceRequest): Promise<Reply> {
    let isHeld = true;
    const giveBack = (): void => {
      if (isHeld) permit.release();
      isHeld = false;
    };
    request.record.onSettled(giveBack);
    try {
      return await this.#deps.route(request);
    } catch (error) {
      giveBack();
      throw error;
    }
  }
}

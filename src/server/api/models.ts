import { GatewayError } from "../../errors/errors.ts";
import { allowsModel } from "../../keys/allowed-models.ts";
import type { Principal } from "../../keys/principal.ts";
import type { ModelPlans, ModelRoute } from "../../router/model-plans.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";
import type { Route } from "../route.ts";
import { jsonReply } from "../../transport/downstream.ts";

export interface ModelsDeps {
  readonly workerRegistry: WorkerRegistry;
  /** The routes in force; undefined where there are none. */
  readonly plans: () => ModelPlans | undefined;
}

interface ModelCard {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
  readonly max_model_len?: number;
  /** For a LoRA adapter: its path. */
  readonly root?: string;
  readonly parent?: string;
}

/**
 * `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's shape; in Anthropic's for clients that send its version header. The names of
 * routes are models as well, while a worker serves one of theirs.
 */
export function modelRoutes(deps: ModelsDeps): Route[] {
  const created = Math.floor(Date.now() / 1000);
  const catalog = new Catalog(deps, created);
  return [
    {
      method: "GET",
      path: "/v1/models",
      access: "serving",
      handle: ({ request, principal }) => {
        const cards = catalog.all().filter(({ id }) => mayUse(principal, id));
        return jsonReply(
          request.headers.has("anthropic-version") ? anthropicList(cards) : { object: "list", data: cards },
        );
      },
    },
    {
      method: "GET",
      path: "/v1/models/*",
      access: "serving",
      handle: ({ request, principal }) => {
        const card = catalog.card(idIn(request.path));
        if (!card || !mayUse(principal, card.id))
          throw new GatewayError("model_not_found", "this model does not exist here", { param: "model" });
        return jsonReply(request.headers.has("anthropic-version") ? anthropicCard(card) : card);
      },
    },
  ];
}

/** Whether the caller may use the model. It sees no others. */
function mayUse(principal: Principal | undefined, model: string): boolean {
  return principal === undefined || allowsModel(principal, model);
}

/** Everything that a client may name as a model. */
class Catalog {
  readonly #deps: ModelsDeps;
  readonly #created: number;

  constructor(deps: ModelsDeps, created: number) {
    this.#deps = deps;
    this.#created = created;
  }

  /** Models that workers serve, and routes that are listed, sorted by their names; each name once. */
  all(): ModelCard[] {
    const { workerRegistry } = this.#deps;
    const plans = this.#deps.plans();
    const names = new Set(workerRegistry.models());
    for (const { name, isListed } of plans?.routes ?? []) {
      if (isListed) names.add(name);
    }
    return [...names].sort().flatMap((name) => this.card(name) ?? []);
  }

  /** undefined where nobody serves it. */
  card(name: string): ModelCard | undefined {
    const { workerRegistry } = this.#deps;
    const plans = this.#deps.plans();
    const route = plans?.routes.find((one) => one.name === name);
    if (plans && route) return this.#cardOf(route, plans);
    return workerRegistry.models().includes(name) ? describe(workerRegistry, name, this.#created) : undefined;
  }

  /** The route's card has the smallest length of its targets, as a request may go to any of them. */
  #cardOf(route: ModelRoute, plans: ModelPlans): ModelCard | undefined {
    const { workerRegistry } = this.#deps;
    const known = workerRegistry.models();
    const targets = plans.targetsOf(route).filter((model) => known.includes(model));
    const served = targets.length > 0 ? targets : plans.fallbacksOf(route).filter((model) => known.includes(model));
    const cards = served.map((model) => describe(workerRegistry, model, this.#created));
    const [first] = cards;
    if (!first) return undefined;
    const lengths = cards.flatMap(({ max_model_len }) => max_model_len ?? []);
    return {
      id: route.name,
      object: "model",
      created: first.created,
      owned_by: first.owned_by,
      ...(lengths.length > 0 ? { max_model_len: Math.min(...lengths) } : {}),
    };
  }
}

/** The id in a path; its slashes may be percent-encoded or not. */
function idIn(path: string): string {
  const raw = path.slice("/v1/models/".length);
  try {
    return decodeURIComponent(raw);
  } catch {
    // The percent-encoding is invalid, so it is no model's id.
    return raw;
  }
}

function describe(registry: WorkerRegistry, id: string, created: number): ModelCard {
  const { workers } = registry.getWorkersForModel(id);
  const worker = workers.find(({ models }) => models.includes(id)) ?? workers[0];
  const card = worker?.info.cards.find((listed) => listed.id === id);
  // Without a card, the worker's length is its main model's.
  const length = card ? card.maxModelLen : worker?.modelId === id ? worker.info.maxModelLen : undefined;
  return {
    id,
    object: "model",
    created: card?.created ?? created,
    owned_by: worker?.info.engine ?? "pointsman",
    ...(length === undefined ? {} : { max_model_len: length }),
    ...(card?.root === undefined ? {} : { root: card.root }),
    ...(card?.parent === undefined ? {} : { parent: card.parent }),
  };
}

function anthropicCard(card: ModelCard): object {
  return { type: "model", id: card.id, display_name: card.id, created_at: new Date(card.created * 1000).toISOString() };
}

function anthropicList(cards: readonly ModelCard[]): object {
  return {
    data: cards.map(anthropicCard),
    has_more: false,
    first_id: cards[0]?.id ?? null,
    last_id: cards.at(-1)?.id ?? null,
  };
}

import { GatewayError } from "../../errors/errors.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";
import type { Route } from "../route.ts";
import { jsonReply } from "../../transport/downstream.ts";

export interface ModelsDeps {
  readonly workerRegistry: WorkerRegistry;
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

/** `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's shape; in Anthropic's for clients that send its version header. */
export function modelRoutes(deps: ModelsDeps): Route[] {
  const created = Math.floor(Date.now() / 1000);
  const card = (id: string): ModelCard => describe(deps.workerRegistry, id, created);
  return [
    {
      method: "GET",
      path: "/v1/models",
      access: "serving",
      handle: ({ request }) => {
        const cards = deps.workerRegistry.models().map(card);
        return jsonReply(
          request.headers.has("anthropic-version") ? anthropicList(cards) : { object: "list", data: cards },
        );
      },
    },
    {
      method: "GET",
      path: "/v1/models/*",
      access: "serving",
      handle: ({ request }) => {
        const id = idIn(request.path);
        if (!deps.workerRegistry.models().includes(id)) {
          throw new GatewayError("model_not_found", "this model does not exist here", { param: "model" });
        }
        return jsonReply(request.headers.has("anthropic-version") ? anthropicCard(card(id)) : card(id));
      },
    },
  ];
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

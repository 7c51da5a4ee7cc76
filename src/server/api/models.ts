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
}

/** `GET /v1/models` and one of them, in OpenAI's shape, or Anthropic's for clients that send its version header. */
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

/** The id as it stands in the path, where its slashes may be encoded or not. */
function idIn(path: string): string {
  const raw = path.slice("/v1/models/".length);
  try {
    return decodeURIComponent(raw);
  } catch {
    // Not an encoding of anything: then it is no model's id either.
    return raw;
  }
}

function describe(registry: WorkerRegistry, id: string, created: number): ModelCard {
  const [worker] = registry.getWorkersForModel(id).workers;
  const length = worker?.info.maxModelLen;
  return {
    id,
    object: "model",
    created,
    owned_by: worker?.info.engine ?? "pointsman",
    ...(length === undefined ? {} : { max_model_len: length }),
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

import { asGatewayError, type ErrorCode, type GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Reply } from "../transport/downstream.ts";
import { BodyFeatures } from "./features/body-features.ts";
import type { ModelPlan } from "./model-plans.ts";
import type { InferenceRequest } from "./router.ts";
import { nobodyServes } from "./worker-router.ts";

export interface AskModelsDeps {
  readonly metrics: Pick<Metrics, "increment">;
  /** Longest time of a request, ms. After it no further model is asked. */
  readonly totalMs: number;
  /** Names of the headers that may have the routing key. */
  readonly sessionHeaders: readonly string[];
}

/**
 * Asks the models of a plan, in order, until one answers. The next model is asked only where the row of the error says so, before the
 * client has a byte of an answer, and while there is time. Rejects with the error that ended this: an error after which no other
 * model is asked, otherwise that of the first model, which the client meant.
 */
export async function askModels(
  { metrics, totalMs, sessionHeaders }: AskModelsDeps,
  request: InferenceRequest,
  { route, models }: ModelPlan,
  ask: (request: InferenceRequest) => Promise<Reply>,
): Promise<Reply> {
  const { record, signal } = request;
  record.route = route;
  let first: GatewayError | undefined;
  for (const [index, model] of models.entries()) {
    try {
      const reply = await ask(requestFor(request, model, sessionHeaders));
      metrics.increment("modelRoutes", { route, model, outcome: "answered" });
      return reply;
    } catch (thrown) {
      const error = asGatewayError(thrown);
      const mayPassOn = error.row.nextModel && !signal.aborted && record.elapsedMs < totalMs;
      const isPassedOn = mayPassOn && index < models.length - 1;
      metrics.increment("modelRoutes", { route, model, outcome: isPassedOn ? "passed_on" : "failed" });
      if (models.length > 1) record.noteFailedModel(model, error.code);
      if (!mayPassOn) throw error;
      first ??= error;
    }
  }
  throw first && told(first, route);
}

/** Codes whose message names the model of the workers, which the client did not name. */
const NAMES_MODEL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["model_not_found"]);

function told(error: GatewayError, route: string): GatewayError {
  return NAMES_MODEL.has(error.code) ? nobodyServes(route) : error;
}

/** The request for another model than the client named. The client gets the answer under the name that it asked for. */
function requestFor(request: InferenceRequest, model: string, sessionHeaders: readonly string[]): InferenceRequest {
  if (model === request.model) return request;
  const { endpoint, isStream, headers } = request;
  const body = request.body.withValue("model", JSON.stringify(model));
  const features = new BodyFeatures({ model, isStream, body, form: endpoint, headers, sessionHeaders });
  return { ...request, model, answerName: request.model, body, features };
}

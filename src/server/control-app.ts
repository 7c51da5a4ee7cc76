import { asGatewayError, type GatewayError } from "../errors/errors.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { Auth } from "./auth.ts";
import { errorResponse } from "./error-response.ts";
import type { Route } from "./route.ts";

export interface ControlAppDeps {
  readonly auth: Auth;
  readonly routes: readonly Route[];
  readonly onDefect: (error: GatewayError, requestId: string) => void;
  /** Resolves when all threads know what was changed up to now. */
  readonly settled: () => Promise<void>;
}

/** A request for a route that is not inference, wherever it came in. */
export interface ControlRequest {
  readonly request: Request;
  /** Values of the path's variables. */
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** Answers everything but inference: probes, models, metrics, administration. */
export class ControlApp {
  readonly routes: readonly Route[];
  readonly #deps: ControlAppDeps;

  constructor(deps: ControlAppDeps) {
    this.#deps = deps;
    this.routes = deps.routes;
  }

  async answer(route: Route, { request, params, requestId }: ControlRequest): Promise<Response> {
    const { auth, settled, onDefect } = this.#deps;
    try {
      if (route.access === "serving") auth.serving(request.headers);
      if (route.access === "admin") auth.admin(request.headers);
      const mark = request.url.indexOf("?");
      const query = new URLSearchParams(mark < 0 ? "" : request.url.slice(mark + 1));
      const response = await route.handle({ request, requestId, params, query });
      // Whoever changed something sees it in force everywhere with the answer.
      if (route.access === "admin" && route.method !== "GET") await settled();
      response.headers.set("x-request-id", requestId);
      return response;
    } catch (thrown) {
      const error = asGatewayError(thrown);
      if (error.code === "internal_error") onDefect(error, requestId);
      return errorResponse(error, openaiDialect, requestId);
    }
  }
}

/** Which of the routes stand on which port. */
export function routesOf(routes: readonly Route[], port: "main" | "admin", hasAdminPort: boolean): Route[] {
  return routes.filter(({ access, path }) => {
    const isAdministration = access === "admin" || path === METRICS_PATH;
    if (port === "admin") return isAdministration || access === "public";
    return !isAdministration || !hasAdminPort;
  });
}

const METRICS_PATH = "/metrics";

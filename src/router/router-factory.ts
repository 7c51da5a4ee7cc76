import { GatewayError } from "../errors/errors.ts";
import { HttpRouter, type HttpRouterDeps } from "./http/http-router.ts";
import type { Router, RouterKind } from "./router.ts";

/**
 * Makes routers. All four stand behind one interface; the three that are not built refuse by name, so that whoever asks
 * for one learns it at start-up and not from a request.
 */
export const RouterFactory = {
  createHttpRouter(deps: HttpRouterDeps): Router {
    return new HttpRouter(deps);
  },

  /** Prefill and decode on different workers. */
  createPdRouter(): Router {
    throw notBuilt("http_pd");
  },

  createGrpcRouter(): Router {
    throw notBuilt("grpc");
  },

  createGrpcPdRouter(): Router {
    throw notBuilt("grpc_pd");
  },
} as const;

function notBuilt(kind: RouterKind): GatewayError {
  return new GatewayError("not_implemented", `the ${kind} router is not built yet`);
}

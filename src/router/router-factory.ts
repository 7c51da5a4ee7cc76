import { GrpcPdRouter } from "./grpc/grpc-pd-router.ts";
import { GrpcRouter, type GrpcRouterDeps } from "./grpc/grpc-router.ts";
import { HttpPdRouter, type HttpPdRouterDeps } from "./http/http-pd-router.ts";
import { HttpRouter, type HttpRouterDeps } from "./http/http-router.ts";
import type { Router } from "./router.ts";

/** Makes the routers, which all stand behind one interface. */
export const RouterFactory = {
  createHttpRouter(deps: HttpRouterDeps): Router {
    return new HttpRouter(deps);
  },

  /** Workers that speak tokens. */
  createGrpcRouter(deps: GrpcRouterDeps): Router {
    return new GrpcRouter(deps);
  },

  createGrpcPdRouter(deps: GrpcRouterDeps): Router {
    return new GrpcPdRouter(deps);
  },

  /** Prefill and decode on different workers. */
  createPdRouter(deps: HttpPdRouterDeps): Router {
    return new HttpPdRouter(deps);
  },
} as const;

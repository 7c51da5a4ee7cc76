import type { Metrics } from "../../observability/metrics.ts";
import type { Route } from "../route.ts";

/** `GET /metrics`, also served on a port of its own. */
export function metricsRoute(metrics: Metrics): Route {
  return {
    method: "GET",
    path: "/metrics",
    access: "public",
    handle: async () => new Response(await metrics.expose(), { headers: { "content-type": metrics.contentType } }),
  };
}

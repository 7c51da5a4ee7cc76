import type { Metrics, MetricsSnapshot } from "../../observability/metrics.ts";
import type { Route } from "../route.ts";
import { textReply } from "../../transport/downstream.ts";

/** `GET /metrics`, also served on a port of its own. */
export function metricsRoute(metrics: Metrics, others: () => Promise<MetricsSnapshot[]>): Route {
  return {
    method: "GET",
    path: "/metrics",
    access: "public",
    handle: async () =>
      textReply(await metrics.expose(await others()), { headers: { "content-type": metrics.contentType } }),
  };
}

import { EXPOSITION_TYPE } from "../../observability/exposition.ts";
import type { Metrics, MetricsSnapshot } from "../../observability/metrics.ts";
import type { Route } from "../route.ts";
import { textReply } from "../../transport/downstream.ts";

/** `GET /metrics`, which is also on the metrics port. */
export function metricsRoute(metrics: Metrics, others: () => Promise<MetricsSnapshot[]>): Route {
  return {
    method: "GET",
    path: "/metrics",
    access: "public",
    handle: async () => textReply(metrics.expose(await others()), { headers: { "content-type": EXPOSITION_TYPE } }),
  };
}

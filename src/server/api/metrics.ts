import { EXPOSITION_TYPE } from "../../observability/exposition.ts";
import type { CompatSet } from "../../observability/compat-table.ts";
import type { Metrics, MetricsSnapshot } from "../../observability/metrics.ts";
import type { Route } from "../route.ts";
import { textReply } from "../../transport/downstream.ts";

/** `GET /metrics`, which is also on the metrics port. `compat`: whose names are given too. */
export function metricsRoute(
  metrics: Metrics,
  compat: readonly CompatSet[],
  others: () => Promise<MetricsSnapshot[]>,
): Route {
  return {
    method: "GET",
    path: "/metrics",
    access: "public",
    handle: async () =>
      textReply(metrics.expose(await others(), compat), { headers: { "content-type": EXPOSITION_TYPE } }),
  };
}

import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { ShadowEvents } from "../policy/shadows.ts";
import type { Clock } from "../util/clock.ts";
import { RareLines } from "./rare-lines.ts";

/** Counts the choices of shadow policies in the metrics, and writes a line for an error of one, the same at most once a minute. */
export function createShadowEvents(metrics: Metrics, logger: Logger, clock: Clock): ShadowEvents {
  const lines = new RareLines(clock);
  return {
    onChoice(listed, policy, { outcome, realCostS, shadowCostS }) {
      const model = metrics.bounded("model", listed);
      metrics.increment("shadowChoices", { model, policy, choice: outcome });
      if (realCostS === undefined || shadowCostS === undefined) return;
      metrics.increment("shadowPriced", { model, policy });
      metrics.increment("shadowCosts", { model, policy, choice: "real" }, realCostS);
      metrics.increment("shadowCosts", { model, policy, choice: "shadow" }, shadowCostS);
    },
    onFault(policy, error) {
      const what = String(error);
      if (!lines.isDue(`${policy} ${what}`)) return;
      logger.error(
        { policy, what, stack: error instanceof Error ? error.stack : undefined },
        "the shadow policy fails",
      );
    },
  };
}

import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { Logger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { createShadowEvents } from "./shadow-events.ts";

const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The lines of the page that have a shadow's counts, without the common labels. */
function counts(metrics: Metrics): string[] {
  return metrics
    .expose()
    .split("\n")
    .filter((line) => line.startsWith("pointsman_shadow"))
    .map((line) => line.replace('model="m",policy="p"', "").replace("{,", "{").replace("{}", ""));
}

test("choices are counted by how they compare, and costs where both are known", () => {
  const metrics = new Metrics();
  const events = createShadowEvents(metrics, silent, new ManualClock());
  events.onChoice("m", "p", { outcome: "same", realCostS: 0.5, shadowCostS: 0.5 });
  events.onChoice("m", "p", { outcome: "other", realCostS: 0.25, shadowCostS: 1 });
  events.onChoice("m", "p", { outcome: "other", realCostS: undefined, shadowCostS: 1 });
  events.onChoice("m", "p", { outcome: "none", realCostS: undefined, shadowCostS: undefined });
  expect(counts(metrics)).toEqual([
    'pointsman_shadow_choices_total{choice="same"} 1',
    'pointsman_shadow_choices_total{choice="other"} 2',
    'pointsman_shadow_choices_total{choice="none"} 1',
    "pointsman_shadow_priced_choices_total 2",
    'pointsman_shadow_cost_seconds_total{choice="real"} 0.75',
    'pointsman_shadow_cost_seconds_total{choice="shadow"} 1.5',
  ]);
});

test("an error is a line with the policy's name, the same once a minute", () => {
  const clock = new ManualClock();
  const lines: object[] = [];
  const logger: Logger = { ...silent, error: (fields) => void lines.push(fields) };
  const events = createShadowEvents(new Metrics(), logger, clock);
  for (const message of ["boom", "boom", "bang"]) events.onFault("p", new Error(message));
  expect(lines).toMatchObject([
    { policy: "p", what: "Error: boom" },
    { policy: "p", what: "Error: bang" },
  ]);
  clock.advance(60_000);
  events.onFault("p", "boom");
  events.onFault("p", new Error("boom"));
  expect(lines.length).toBe(4);
});

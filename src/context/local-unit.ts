import type { DecisionQuery } from "../router/decision-log.ts";
import type { ControlSide, ServingUnits } from "../server/serving-units.ts";
import type { AppContext } from "./app-context.ts";
import { type ServingUnit, startServingUnit } from "./serving-unit.ts";
import { sharesOf } from "./shares.ts";

/** The only serving unit of the gateway. */
export type LocalUnit = ServingUnit & ServingUnits;

/**
 * The one serving unit of a gateway with `threads` 1: it uses the registries of the context, and has the whole of each bound.
 * Throws as `startServingUnit` does.
 */
export function startLocalUnit(context: AppContext, { auth, gate, control, routes }: ControlSide): LocalUnit {
  const { config, modelFinder } = context;
  const unit = startServingUnit({
    ...context,
    hostname: config.host,
    port: config.port,
    reusePort: config.reusePort,
    certificates: context.certificates.current,
    finder: modelFinder,
    shares: sharesOf(config, 1),
    auth,
    gate,
    routes,
    answer: (route, request) => control.answer(route, request),
  });
  return Object.assign(unit, {
    settled: () => Promise.resolve(),
    snapshots: () => Promise.resolve([]),
    findDecisions: async (query: DecisionQuery) => ({ tries: unit.decisions?.find(query) ?? [], silentThreads: [] }),
    stop: async () => unit[Symbol.dispose](),
  });
}

import { isDivided, percentOf } from "../config/check-model-routes.ts";
import { readAlias } from "../config/model-routes.ts";
import type { Config } from "../config/schema.ts";
import { type ModelRoute, ModelPlans, type RouteTarget } from "../router/model-plans.ts";

type RouteConfig = Config["modelRoutes"][number];
type TargetConfig = RouteConfig["targets"][number];

/** The plans for the names that the configuration routes; undefined where it routes none, so that requests are not looked up. */
export function modelPlans({ modelRoutes, modelAliases }: Config): ModelPlans | undefined {
  const routes = [...modelRoutes.map(routeOf), ...modelAliases.flatMap(aliasRoute)];
  return routes.length > 0 ? new ModelPlans(routes) : undefined;
}

function routeOf({ model, targets, fallbacks, listed }: RouteConfig): ModelRoute {
  const divided = targets.filter(isDivided);
  const percent = percentOf(divided);
  const weight = divided.reduce((total, target) => total + weightOf(target), 0);
  return {
    name: model,
    targets: targets.map((target) => targetOf(target, percent, weight)),
    fallbacks,
    isListed: listed,
  };
}

/** Targets with a percentage have that share. The others divide the rest by their weights. */
function targetOf(target: TargetConfig, percent: number, weight: number): RouteTarget {
  const { model, canaryPercent, match } = target;
  const own = weightOf(target);
  const rest = own === 0 ? 0 : (own / weight) * (1 - percent / 100);
  const { header, value = "*", routingKey, apiKey } = match ?? {};
  return {
    model,
    share: isDivided(target) ? (canaryPercent === undefined ? rest : canaryPercent / 100) : 0,
    match: match && {
      header: header === undefined ? undefined : { name: header, value },
      routingKey,
      client: apiKey,
    },
  };
}

function weightOf({ weight, canaryPercent }: TargetConfig): number {
  return canaryPercent === undefined ? (weight ?? 1) : 0;
}

function aliasRoute(text: string): ModelRoute[] {
  const alias = readAlias(text);
  if (!alias) return [];
  const target: RouteTarget = { model: alias.target, share: 1, match: undefined };
  return [{ name: alias.model, targets: [target], fallbacks: [], isListed: true }];
}

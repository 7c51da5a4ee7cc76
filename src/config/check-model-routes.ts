import type { Complaint } from "./describe-issue.ts";
import { readAlias } from "./model-routes.ts";
import type { Config } from "./schema.ts";

type Route = Config["modelRoutes"][number];
type Path = readonly PropertyKey[];

/** A route or an alias, with its place in the configuration. */
interface Named {
  readonly route: Pick<Route, "model" | "targets" | "fallbacks">;
  readonly path: Path;
}

/** Finds routes that could not be followed, or that would hide a model. */
export function checkModelRoutes(config: Config): Complaint[] {
  const named = namedRoutes(config);
  const complaints = config.modelRoutes.flatMap((route, index) => checkRoute(config, route, ["modelRoutes", index]));
  const byName = new Map<string, Named>();
  for (const one of named) {
    const { model } = one.route;
    if (byName.has(model)) complaints.push(complaint(one.path, `the route ${quoted(model)} is given twice`));
    else byName.set(model, one);
  }
  for (const one of named) {
    const hidden = hiddenModel(config, one);
    if (hidden !== undefined) complaints.push(complaint(one.path, hidden));
  }
  return [...complaints, ...checkCycles(byName)];
}

/** All routes; an alias is a route with one target. */
function namedRoutes(config: Config): Named[] {
  const routes = config.modelRoutes.map((route, index): Named => ({ route, path: ["modelRoutes", index] }));
  const aliases = config.modelAliases.flatMap((text, index): Named[] => {
    const alias = readAlias(text);
    if (!alias) return [];
    const { model, target } = alias;
    return [{ route: { model, targets: [{ model: target }], fallbacks: [] }, path: ["modelAliases", index] }];
  });
  return [...routes, ...aliases];
}

function checkRoute(config: Config, { model, targets, fallbacks }: Route, path: Path): Complaint[] {
  const complaints: Complaint[] = [];
  const name = quoted(model);
  const say = (text: string, ...more: PropertyKey[]): void => void complaints.push(complaint([...path, ...more], text));
  for (const [index, target] of targets.entries()) {
    const { weight, canaryPercent, match } = target;
    if (weight !== undefined && canaryPercent !== undefined) {
      say("a target has weight or canary_percent, not both", "targets", index);
    }
    const client = match?.apiKey;
    if (client !== undefined && !config.apiKeys.some((key) => key.name === client)) {
      say(`api_keys has no key named ${quoted(client)}`, "targets", index, "match", "apiKey");
    }
    const isTwice = targets.slice(0, index).some((other) => other.model === target.model && isDivided(other));
    if (isTwice && isDivided(target)) {
      say(`the target ${quoted(target.model)} is given twice; add up its weights`, "targets", index);
    }
  }
  for (const [index, fallback] of fallbacks.entries()) {
    if (fallbacks.indexOf(fallback) < index) say(`the fallback ${quoted(fallback)} is given twice`, "fallbacks", index);
  }
  const wrongShares = sharesComplaint(targets.filter(isDivided), name);
  if (wrongShares !== undefined) say(wrongShares, "targets");
  return complaints;
}

/** Whether the target takes a share of the requests that no match has taken. A target with a match does so only where its share is given. */
export function isDivided({ weight, canaryPercent, match }: Route["targets"][number]): boolean {
  return match === undefined || weight !== undefined || canaryPercent !== undefined;
}

/** The percentages of these targets together. Adding fractions leaves a little behind: 0.1, 64.6 and 35.3 are 100. */
export function percentOf(targets: Route["targets"]): number {
  const sum = targets.reduce((percent, { canaryPercent = 0 }) => percent + canaryPercent, 0);
  return Math.round(sum * 1e6) / 1e6;
}

function sharesComplaint(divided: Route["targets"], name: string): string | undefined {
  if (divided.length === 0) {
    return `every target of the route ${name} has a match: one without is needed for the requests that match none`;
  }
  const percent = percentOf(divided);
  const weight = divided.reduce((sum, one) => sum + (one.canaryPercent === undefined ? (one.weight ?? 1) : 0), 0);
  if (percent > 100) return `the canary_percent of the route ${name} are ${percent} together, which is more than 100`;
  if (weight > 0) return undefined;
  if (percent === 100) return undefined;
  return percent === 0
    ? `all weights of the route ${name} are 0, so no target would get a request`
    : `${100 - percent} % of the route ${name} would have no target: give another target a weight above 0`;
}

/** Why a route would hide a model that a worker is configured to serve; undefined where it hides none. */
function hiddenModel({ initialWorkers, modelPath }: Config, { route }: Named): string | undefined {
  const { model, targets, fallbacks } = route;
  const isServed = modelPath === model || initialWorkers.some(({ modelId }) => modelId === model);
  if (!isServed || targets.some((one) => one.model === model) || fallbacks.includes(model)) return undefined;
  return `the route ${quoted(model)} would hide the model of that name, which a worker serves: give the route another name, or name the model among its targets or fallbacks`;
}

/**
 * Finds routes whose targets lead back to them. A route's own name among its targets is the model of that name, and no circle. Fallbacks
 * may lead anywhere, because a request asks no model twice.
 */
function checkCycles(routes: ReadonlyMap<string, Named>): Complaint[] {
  const complaints: Complaint[] = [];
  const done = new Set<string>();
  const visit = (name: string, before: readonly string[]): void => {
    const named = routes.get(name);
    if (!named || done.has(name)) return;
    const trail = [...before, name];
    for (const { model: next } of named.route.targets) {
      if (next === name) continue;
      const from = trail.indexOf(next);
      if (from < 0) visit(next, trail);
      else complaints.push(complaint(named.path, `routes lead in a circle: ${circle(trail.slice(from))}`));
    }
    done.add(name);
  };
  for (const name of routes.keys()) visit(name, []);
  for (const { route, path } of routes.values()) {
    const names = [...route.targets.map(({ model }) => model), ...route.fallbacks];
    if (names.every((name) => name === route.model)) {
      complaints.push(complaint(path, `the route ${quoted(route.model)} leads only to itself`));
    }
  }
  return complaints;
}

function circle(names: readonly string[]): string {
  return [...names, ...names.slice(0, 1)].map(quoted).join(" -> ");
}

function complaint(path: Path, text: string): Complaint {
  return { path, text, isSentence: true };
}

function quoted(name: string): string {
  return JSON.stringify(name);
}

import { matchesGlob } from "../policy/glob.ts";
import type { InferenceRequest } from "./router.ts";

/** The requests that a target always takes. All conditions that are given must hold. */
export interface TargetMatch {
  /** A header, in lower case, and a glob on its value. */
  readonly header: { readonly name: string; readonly value: string } | undefined;
  /** A glob on the routing key. */
  readonly routingKey: string | undefined;
  /** Name of the client's key. */
  readonly client: string | undefined;
}

/** One of the models that answer for a route's name. */
export interface RouteTarget {
  readonly model: string;
  /** Share of the requests that no match has taken, 0 to 1; all shares of a route add up to 1. */
  readonly share: number;
  readonly match: TargetMatch | undefined;
}

/** A name that clients may ask for, and the models that answer. */
export interface ModelRoute {
  readonly name: string;
  /** Models or other routes. The route's own name is the model of that name. */
  readonly targets: readonly RouteTarget[];
  /** Models or other routes, which are asked in this order when the target cannot answer. */
  readonly fallbacks: readonly string[];
  /** Whether the listing of models shows the name. */
  readonly isListed: boolean;
}

/** The models that one request asks, in their order: the next where the one before cannot answer. */
export interface ModelPlan {
  /** The name that the client asked for. */
  readonly route: string;
  /** At least one, each once. */
  readonly models: readonly string[];
}

/** The parts of a request that decide which model answers. */
export type PlannedRequest = Pick<InferenceRequest, "model" | "headers"> & {
  readonly features: Pick<InferenceRequest["features"], "routingKey">;
};

/** Decides which models answer for the names of the configuration. It holds no state, so all threads and all gateways decide alike. */
export class ModelPlans {
  readonly routes: readonly ModelRoute[];
  readonly #byName: ReadonlyMap<string, ModelRoute>;
  readonly #random: () => number;
  /** Plans that do not depend on the request, by route. */
  readonly #fixed = new Map<string, ModelPlan>();

  /** No route may be its own target through other routes. `random`: numbers in [0, 1). */
  constructor(routes: readonly ModelRoute[], random: () => number = Math.random) {
    this.routes = routes;
    this.#byName = new Map(routes.map((route) => [route.name, route]));
    this.#random = random;
  }

  /**
   * The models for a request, and undefined where its name is no route's. `client` is the name of the client's key. A request with a
   * routing key gets the same target each time.
   */
  planFor(request: PlannedRequest, client: string): ModelPlan | undefined {
    const route = request.model === undefined ? undefined : this.#byName.get(request.model);
    if (!route) return undefined;
    const known = this.#fixed.get(route.name);
    if (known) return known;
    const way: Way = { models: [], routes: new Set(), isFixed: true };
    this.#follow(route, way, request, client);
    const plan = { route: route.name, models: way.models };
    if (way.isFixed) this.#fixed.set(route.name, plan);
    return plan;
  }

  /** The models that may answer for a route while none fails, each once. */
  targetsOf(route: ModelRoute): readonly string[] {
    return this.#modelsAt(
      route,
      route.targets.map(({ model }) => model),
    );
  }

  /** The models that may answer for a route when its targets fail, each once; without the fallbacks of its targets. */
  fallbacksOf(route: ModelRoute): readonly string[] {
    return this.#modelsAt(route, route.fallbacks);
  }

  /** The models to which these names of the route lead. */
  #modelsAt(route: ModelRoute, names: readonly string[], models = new Set<string>()): readonly string[] {
    for (const name of names) {
      const next = name === route.name ? undefined : this.#byName.get(name);
      if (next)
        this.#modelsAt(
          next,
          next.targets.map(({ model }) => model),
          models,
        );
      else models.add(name);
    }
    return [...models];
  }

  /** Adds the route's target and its fallbacks, each with the fallbacks that it has itself. */
  #follow(route: ModelRoute, way: Way, request: PlannedRequest, client: string): void {
    if (way.routes.has(route.name)) return;
    way.routes.add(route.name);
    const [only] = route.targets;
    if (route.targets.length > 1 || only?.match !== undefined) way.isFixed = false;
    for (const model of [this.#choose(route, request, client), ...route.fallbacks]) {
      const next = model === route.name ? undefined : this.#byName.get(model);
      if (next) this.#follow(next, way, request, client);
      else if (!way.models.includes(model)) way.models.push(model);
    }
  }

  /** The first target whose match holds; otherwise one by its share. */
  #choose({ name, targets }: ModelRoute, request: PlannedRequest, client: string): string {
    const matching = targets.find(({ match }) => match && holds(match, request, client));
    if (matching) return matching.model;
    const divided = targets.filter(({ share }) => share > 0);
    const [only] = divided;
    if (divided.length === 1 && only) return only.model;
    const key = request.features.routingKey();
    return key === undefined ? drawn(divided, this.#random()) : keptFor(divided, name, key);
  }
}

interface Way {
  readonly models: string[];
  /** Names of the routes that were followed. */
  readonly routes: Set<string>;
  /** Whether no choice on the way depended on the request. */
  isFixed: boolean;
}

function holds({ header, routingKey, client }: TargetMatch, request: PlannedRequest, caller: string): boolean {
  if (client !== undefined && client !== caller) return false;
  if (header && !isLike(header.value, request.headers.get(header.name))) return false;
  return routingKey === undefined || isLike(routingKey, request.features.routingKey());
}

function isLike(glob: string, value: string | null | undefined): boolean {
  return typeof value === "string" && matchesGlob(glob, value);
}

/** The target in whose share of [0, 1) the number lies. */
function drawn(targets: readonly RouteTarget[], at: number): string {
  let to = 0;
  for (const { model, share } of targets) {
    to += share;
    if (at < to) return model;
  }
  // The shares add up to 1 except for rounding.
  return targets.at(-1)?.model ?? "";
}

/** 2 to the power of 53: how many different numbers a hash becomes. */
const HASHES = 2 ** 53;

/**
 * The target of a routing key, by weighted rendezvous hashing: the largest of share / -ln(u), where u in (0, 1) is a hash of route,
 * target and key. Each target gets its share of the keys, and a key changes its target only where that target's share shrinks or
 * another one's grows. The routes are hashed apart, so that a key is not in the small part of every experiment.
 */
function keptFor(targets: readonly RouteTarget[], route: string, key: string): string {
  let best = "";
  let most = -1;
  for (const { model, share } of targets) {
    const hash = Bun.hash.wyhash(`${route}\u0000${model}\u0000${key}`);
    const score = share / -Math.log((Number(hash >> 11n) + 0.5) / HASHES);
    if (score <= most) continue;
    most = score;
    best = model;
  }
  return best;
}

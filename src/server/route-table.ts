import type { Method } from "./route.ts";

/** The match of a path. */
export interface Match<H> {
  /** Handlers by method. */
  readonly handlers: ReadonlyMap<string, H>;
  /** Values of `:name` in the pattern, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

interface Pattern<H> {
  readonly parts: readonly string[];
  readonly handlers: Map<string, H>;
}

const NO_PARAMS: Readonly<Record<string, string>> = {};

/**
 * Finds the route of a raw path. The path is neither decoded nor normalised before, so the path that is matched is the path that
 * is authorised. `:name` matches one segment that is not empty, `*` at the end matches the rest.
 */
export class RouteTable<H> {
  readonly #exact = new Map<string, Match<H> & { readonly handlers: Map<string, H> }>();
  readonly #patterns: Pattern<H>[] = [];

  add(method: Method, path: string, handler: H): void {
    this.#handlersOf(path).set(method, handler);
  }

  find(path: string): Match<H> | undefined {
    const exact = this.#exact.get(path);
    if (exact) return exact;
    const given = path.split("/");
    for (const pattern of this.#patterns) {
      const params = paramsIn(pattern.parts, given);
      if (params) return { handlers: pattern.handlers, params };
    }
    return undefined;
  }

  #handlersOf(path: string): Map<string, H> {
    const parts = path.split("/");
    const isPattern = parts.at(-1) === "*" || parts.some((part) => part.startsWith(":"));
    if (!isPattern) {
      const exact = this.#exact.get(path) ?? { handlers: new Map<string, H>(), params: NO_PARAMS };
      this.#exact.set(path, exact);
      return exact.handlers;
    }
    const known = this.#patterns.find((pattern) => pattern.parts.join("/") === path);
    if (known) return known.handlers;
    const handlers = new Map<string, H>();
    this.#patterns.push({ parts, handlers });
    return handlers;
  }
}

/** The values of the variables; undefined where the path does not match. */
function paramsIn(pattern: readonly string[], given: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    if (part === "*") return given.length > index ? params : undefined;
    const value = given[index];
    if (part.startsWith(":")) {
      const decoded = value === undefined || value === "" ? undefined : decode(value);
      if (decoded === undefined) return undefined;
      params[part.slice(1)] = decoded;
    } else if (part !== value) return undefined;
  }
  return given.length === pattern.length ? params : undefined;
}

/** Percent-decodes a value; undefined where the encoding is invalid. */
function decode(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

import type { ClientRequest, Reply } from "../transport/downstream.ts";

/** Cross-origin access for the configured origins, none by default. */
export interface Cors {
  /** Adds the CORS headers for the request's origin to the answer, if the origin is allowed. */
  allow(request: Pick<ClientRequest, "headers">, reply: Reply): void;
  /** The answer to a preflight of an allowed origin; undefined where the request is not one. */
  preflight(request: ClientRequest): Reply | undefined;
}

/** `origins` may have `*` for any origin. Without origins nothing is allowed. */
export function createCors(origins: readonly string[]): Cors {
  if (origins.length === 0) return { allow: () => undefined, preflight: () => undefined };
  const isAllowed = (origin: string | null): origin is string =>
    origin !== null && (origins.includes("*") || origins.includes(origin));
  return {
    allow(request, { headers }) {
      const origin = request.headers.get("origin");
      if (!isAllowed(origin)) return;
      // Credentials are never allowed, so naming the origin is as safe as a star, and caches can vary by origin.
      headers["access-control-allow-origin"] = origin;
      headers["vary"] = "origin";
      // All that the answer has; the star is taken where a page sends no credentials of the browser's.
      headers["access-control-expose-headers"] = "*";
    },
    preflight(request) {
      if (request.method !== "OPTIONS" || !isAllowed(request.headers.get("origin"))) return undefined;
      return {
        status: 204,
        body: "",
        headers: {
          "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
          "access-control-allow-headers":
            request.headers.get("access-control-request-headers") ?? "content-type, authorization",
          "access-control-max-age": "600",
        },
      };
    },
  };
}

/** Cross-origin access for the configured origins, none by default. */
export interface Cors {
  /** The response, with leave for the request's origin where it is an allowed one. */
  allow(request: Request, response: Response): Response;
  /** The answer to a preflight of an allowed origin; undefined where the request is not one. */
  preflight(request: Request): Response | undefined;
}

export function createCors(origins: readonly string[]): Cors {
  if (origins.length === 0) return { allow: (_request, response) => response, preflight: () => undefined };
  const isAllowed = (origin: string | null): origin is string =>
    origin !== null && (origins.includes("*") || origins.includes(origin));
  return {
    allow(request, response) {
      const origin = request.headers.get("origin");
      if (!isAllowed(origin)) return response;
      // Never together with credentials, so the origin itself is as good as a star and can be cached by origin.
      response.headers.set("access-control-allow-origin", origin);
      response.headers.append("vary", "origin");
      response.headers.set("access-control-expose-headers", "x-request-id, request-id, retry-after");
      return response;
    },
    preflight(request) {
      if (request.method !== "OPTIONS" || !isAllowed(request.headers.get("origin"))) return undefined;
      return new Response(undefined, {
        status: 204,
        headers: {
          "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
          "access-control-allow-headers":
            request.headers.get("access-control-request-headers") ?? "content-type, authorization",
          "access-control-max-age": "600",
        },
      });
    },
  };
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Who may call: anybody, clients with the API key, operators. */
export type Access = "public" | "serving" | "admin";

/** What a handler gets besides the request. */
export interface Call {
  readonly request: Request;
  readonly requestId: string;
  /** Values of `:name` in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** What follows the question mark, parsed. */
  readonly query: URLSearchParams;
}

/** One row of the route table. Handlers throw GatewayError. */
export interface Route {
  readonly method: Method;
  /** As Bun matches it, on the raw path: `:name` for a segment, `/*` at the end for the rest. */
  readonly path: string;
  readonly access: Access;
  readonly handle: (call: Call) => Response | Promise<Response>;
}

/** Does the raw path fit the pattern? For telling a wrong method from a wrong path. */
export function matchesPath(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.at(-1) === "*") {
    return given.length >= wanted.length && wanted.slice(0, -1).every((part, index) => part === given[index]);
  }
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => (part.startsWith(":") ? given[index] !== "" : part === given[index]))
  );
}

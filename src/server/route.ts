import type { AdminRole, Principal } from "../keys/principal.ts";
import type { ClientRequest, Reply } from "../transport/downstream.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Who may call: everybody, clients with a key, or who has the role. */
export type Access = "public" | "serving" | AdminRole;

/** The role that a route of the administration needs; undefined for the other routes. */
export function roleOf(access: Access): AdminRole | undefined {
  return access === "public" || access === "serving" ? undefined : access;
}

/** Arguments of a handler. */
export interface Call {
  readonly request: ClientRequest;
  readonly requestId: string;
  /** Values of `:name` in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Who calls; undefined on a public route. */
  readonly principal: Principal | undefined;
  /** Says in the audit log what the route has changed: a key's name, a worker's id. */
  readonly note: (subject: string) => void;
  /** The parsed query. */
  readonly query: URLSearchParams;
  /** The body, decoded; undefined where none was sent, and on a route that reads none. */
  readonly body: Uint8Array | undefined;
}

/** One row of the route table. Handlers throw GatewayError. */
export interface Route {
  readonly method: Method;
  /** Pattern for the raw path: `:name` for a segment, `/*` at the end for the rest. */
  readonly path: string;
  readonly access: Access;
  /** Largest body that the route reads, bytes; undefined where it reads none. */
  readonly maxBodyBytes?: number | undefined;
  /** Whether the body may be YAML as well as JSON. */
  readonly takesYaml?: boolean | undefined;
  readonly handle: (call: Call) => Reply | Promise<Reply>;
}

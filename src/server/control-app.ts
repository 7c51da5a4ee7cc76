import { asGatewayError, clientClosed, type GatewayError } from "../errors/errors.ts";
import type { Principal } from "../keys/principal.ts";
import type { AuditEntry, AuditLog } from "../observability/audit-log.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { ClientRequest, Reply } from "../transport/downstream.ts";
import type { Auth } from "./auth.ts";
import { readControlBody } from "./control-body.ts";
import { errorReply } from "./error-reply.ts";
import { type Method, type Route, roleOf } from "./route.ts";

export interface ControlAppDeps {
  readonly auth: Auth;
  readonly routes: readonly Route[];
  readonly onDefect: (error: GatewayError, requestId: string) => void;
  /** Gets each change, and each attempt of a known caller that was refused. */
  readonly audit: AuditLog;
  /** Resolves when all threads have all changes so far. */
  readonly settled: () => Promise<void>;
}

/** The public part of a route. Its handler may be on another thread. */
export interface RouteAddress {
  readonly method: Method;
  readonly path: string;
}

/** A request for a route that is not inference, from any port or thread. */
export interface ControlRequest {
  readonly request: ClientRequest;
  /** Values of the path's variables. */
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** Answers everything but inference: probes, models, metrics, administration. */
export class ControlApp {
  readonly routes: readonly Route[];
  readonly #deps: ControlAppDeps;

  constructor(deps: ControlAppDeps) {
    this.#deps = deps;
    this.routes = deps.routes;
  }

  async answer(route: Route, { request, params, requestId }: ControlRequest): Promise<Reply> {
    const { auth, settled, onDefect } = this.#deps;
    let principal: Principal | undefined;
    let subject: string | undefined;
    const note = (changed: string): void => {
      subject = changed;
    };
    try {
      principal = await callerOf(auth, route, request);
      const body = await readControlBody(route, request);
      const query = new URLSearchParams(request.query);
      const reply = await route.handle({ request, requestId, params, query, body, principal, note });
      // The answer to a change waits until the change is in force on all threads.
      if (isChange(route)) {
        await settled();
        this.#audit(principal, request, { status: reply.status, request_id: requestId, subject });
      }
      reply.headers["x-request-id"] = requestId;
      return reply;
    } catch (thrown) {
      // The client has left; its reason is no failure of the gateway.
      const error = request.signal.aborted ? clientClosed(thrown) : asGatewayError(thrown);
      if (error.code === "internal_error") onDefect(error, requestId);
      const reply = errorReply(error, openaiDialect, requestId);
      const facts = { status: reply.status, error: error.code, request_id: requestId, subject };
      const known = principal ?? refusedCaller(error);
      if (known && isChange(route)) this.#audit(known, request, facts);
      return reply;
    }
  }

  #audit(
    principal: Pick<Principal, "name" | "roles"> | undefined,
    { method, path, peerAddress }: ClientRequest,
    facts: Pick<AuditEntry, "status" | "error" | "request_id" | "subject">,
  ): void {
    const { name = "", roles = [] } = principal ?? {};
    this.#deps.audit.write({ who: name, roles, from: peerAddress, method, path: path.slice(0, MAX_PATH), ...facts });
  }
}

/** Longest path in the audit log, characters. */
const MAX_PATH = 512;

/** Whether the route changes something of the gateway. */
function isChange({ access, method }: Route): boolean {
  return roleOf(access) !== undefined && method !== "GET";
}

/** A caller whose key does not have the role. */
function refusedCaller({ details }: GatewayError): Pick<Principal, "name" | "roles"> | undefined {
  return details.caller === undefined ? undefined : { name: details.caller, roles: [] };
}

/**
 * The caller of a route, which it may use; undefined for a public one. Throws invalid_api_key, too_many_wrong_keys, forbidden.
 */
export async function callerOf(
  auth: Auth,
  { access }: Pick<Route, "access">,
  request: ClientRequest,
): Promise<Principal | undefined> {
  if (access === "serving") return auth.serving(request);
  const role = roleOf(access);
  return role && auth.admin(request, role);
}

/** The routes of one port. */
export function routesOf(routes: readonly Route[], port: "main" | "admin", hasAdminPort: boolean): Route[] {
  return routes.filter(({ access, path }) => {
    const isAdministration = roleOf(access) !== undefined || path === METRICS_PATH;
    if (port === "admin") return isAdministration || access === "public";
    return !isAdministration || !hasAdminPort;
  });
}

const METRICS_PATH = "/metrics";

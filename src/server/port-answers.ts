import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import { ENDPOINTS, PARSE_ENDPOINTS } from "../protocol/endpoints.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { ClientRequest, Reply, WholeReply } from "../transport/downstream.ts";
import type { RequestHead } from "../transport/http1-server/request-head.ts";
import { refuseLoop } from "../transport/via.ts";
import type { ControlRequest, RouteAddress } from "./control-app.ts";
import { type Cors, createCors } from "./cors.ts";
import type { DataPlane } from "./data-plane.ts";
import { errorReply } from "./error-reply.ts";
import type { Refusals } from "./refusals.ts";
import { requestIdOf } from "./request-id.ts";
import { RouteTable } from "./route-table.ts";
import { unknownRoute } from "./unknown-route.ts";

type Peer = Pick<ClientRequest, "peerAddress">;
type Handler = (request: ClientRequest, requestId: string, params: Readonly<Record<string, string>>) => Promise<Reply>;

export interface PortAnswersSettings {
  /** Origins whose pages may call; `*` for all. */
  readonly corsAllowedOrigins: readonly string[];
  /** Headers that may have the request's id; the first one present is used. */
  readonly requestIdHeaders: readonly string[];
}

export interface PortAnswersDeps<R extends RouteAddress> {
  readonly settings: PortAnswersSettings;
  /** undefined on a port without inference. */
  readonly dataPlane:
    | (Pick<DataPlane, "handle" | "isFull"> & { readonly refusals: Pick<Refusals, "isFlooded" | "screen"> })
    | undefined;
  /** The gateway's entry in `Via`, by which it knows requests that come back; undefined on a port without inference. */
  readonly via: string | undefined;
  readonly routes: readonly R[];
  readonly answer: (route: R, request: ControlRequest) => Promise<Reply>;
  readonly metrics: Pick<Metrics, "increment">;
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

const INFERENCE = [...ENDPOINTS, ...PARSE_ENDPOINTS];

/** What a port answers: it routes requests by their raw paths, and adds to answers what all of them have. */
export class PortAnswers<R extends RouteAddress> {
  readonly #deps: PortAnswersDeps<R>;
  readonly #table = new RouteTable<Handler>();
  /** The routes of inference by their paths. */
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  #settings: PortAnswersSettings;
  #cors: Cors;

  constructor(deps: PortAnswersDeps<R>) {
    const { dataPlane, settings } = deps;
    this.#deps = deps;
    this.#settings = settings;
    this.#cors = createCors(settings.corsAllowedOrigins);
    this.#endpoints = new Map(dataPlane ? INFERENCE.map((endpoint) => [endpoint.path, endpoint]) : []);
    if (dataPlane) {
      for (const endpoint of INFERENCE) {
        this.#table.add("POST", endpoint.path, (request, requestId) => dataPlane.handle(endpoint, request, requestId));
      }
    }
    for (const route of deps.routes) {
      this.#table.add(route.method, route.path, (request, requestId, params) =>
        deps
          .answer(route, { request, params, requestId })
          .catch((thrown: unknown) => this.#errorReply(thrown, requestId)),
      );
    }
  }

  /** Changes what the next requests get. */
  replace(settings: PortAnswersSettings): void {
    this.#settings = settings;
    this.#cors = createCors(settings.corsAllowedOrigins);
  }

  /** Answers a request. Never throws or rejects: an error is an answer. */
  handle(request: ClientRequest): Reply | Promise<Reply> {
    const { via } = this.#deps;
    const requestId = requestIdOf(request.headers, this.#settings.requestIdHeaders);
    try {
      if (via !== undefined) refuseLoop(via, request.headers);
      return this.#cors.preflight(request) ?? route(this.#table, request, requestId);
    } catch (thrown) {
      return this.#errorReply(thrown, requestId);
    }
  }

  /** The answer to a request of which only the head is looked at, while wrong keys come by the thousand; else undefined. */
  screen({ method, path, headers }: RequestHead, from: Peer): WholeReply | undefined {
    const { dataPlane } = this.#deps;
    if (dataPlane?.refusals.isFlooded !== true || method !== "POST") return undefined;
    const endpoint = this.#endpoints.get(path);
    return endpoint && dataPlane.refusals.screen(endpoint, headers, from, this.#settings.requestIdHeaders);
  }

  /** Adds to an answer what all answers have. */
  finish(request: Pick<ClientRequest, "headers">, reply: Reply): void {
    if (this.#deps.dataPlane?.isFull === true) reply.endsConnection = true;
    this.#cors.allow(request, reply);
  }

  /** Makes the answer to bytes that are not a request. */
  refuse(error: GatewayError): WholeReply {
    this.#deps.metrics.increment("refusals", { code: error.code });
    return refuse(error);
  }

  #errorReply(thrown: unknown, requestId: string): Reply {
    const error = asGatewayError(thrown);
    if (error.code === "internal_error") this.#deps.onDefect(error, requestId);
    return errorReply(error, openaiDialect, requestId);
  }
}

/** The answer to bytes that are not a request. Its API is unknown, so it has OpenAI's shape. */
export function refuse(error: GatewayError): WholeReply {
  return errorReply(error, openaiDialect, crypto.randomUUID());
}

/** Throws unknown_url, method_not_allowed. */
function route(table: RouteTable<Handler>, request: ClientRequest, requestId: string): Promise<Reply> | Reply {
  const match = table.find(request.path);
  if (!match) throw unknownRoute(request.path);
  const handler = match.handlers.get(request.method === "HEAD" ? "GET" : request.method);
  if (handler) return handler(request, requestId, match.params);
  if (isWebSocket(request)) {
    // Clients that try a WebSocket first continue with POST at once after this error. After other errors they wait and try again.
    throw new GatewayError("websocket_unsupported", "this route is not spoken over a WebSocket: POST to it", {
      headers: { upgrade: "HTTP/1.1", connection: "upgrade" },
    });
  }
  const allow = [...match.handlers.keys()];
  throw new GatewayError("method_not_allowed", `this route takes ${allow.join(", ")}`, { allow });
}

/** Whether the request opens a WebSocket (RFC 6455, section 4.1). */
function isWebSocket({ method, headers }: ClientRequest): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket";
}

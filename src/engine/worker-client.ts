import type { GrpcCallOptions, GrpcClient, GrpcStream } from "../transport/grpc/grpc-client.ts";
import { headerLine, type Transport, type UpstreamResponse } from "../transport/upstream.ts";
import { viaLine } from "../transport/via.ts";
import type { Clock } from "../util/clock.ts";
import type { Secret } from "../util/secret.ts";
import { USER_AGENT } from "../util/version.ts";
import type { Worker } from "../worker/worker.ts";

/** The worker that a question goes to, with its credential. */
export interface Addressee {
  /** Scheme, host and port. */
  readonly url: string;
  readonly apiKey: Secret | undefined;
}

/** Which page is asked for. */
export interface PageQuestion {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  /** Body of a POST; without it the body is empty. */
  readonly json?: Uint8Array | undefined;
  /** Limit for the connection, for the head, for each pause, and for the whole answer, ms. */
  readonly timeoutMs: number;
}

export interface WorkerClientDeps {
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  readonly clock: Clock;
  /** The gateway's entry in `Via`. */
  readonly via: string;
}

/** Asks workers the gateway's own questions, over HTTP or gRPC, with the worker's credential and one time limit for each question. */
export class WorkerClient {
  readonly #deps: WorkerClientDeps;
  /** Header lines of each question. */
  readonly #headers: string;

  constructor(deps: WorkerClientDeps) {
    this.#deps = deps;
    this.#headers = OWN_HEADERS + viaLine(deps.via, null);
  }

  /** Asks for a page on a new connection, because a worker that accepts no new connection is not well. Throws what `Transport.send` throws. */
  page({ url, apiKey }: Addressee, { method, path, json, timeoutMs }: PageQuestion): Promise<UpstreamResponse> {
    const { transport, clock } = this.#deps;
    return transport.send(
      {
        origin: url,
        method,
        path,
        headers:
          this.#headers +
          (apiKey ? headerLine("authorization", apiKey.bearer()) : "") +
          (json ? headerLine("content-type", "application/json") : ""),
        body: method === "POST" ? (json ?? NOTHING) : undefined,
        isLast: true,
        timeouts: within(timeoutMs),
        deadline: clock.now() + timeoutMs,
      },
      undefined,
    );
  }

  /** A unary call. Throws what `GrpcClient.unary` throws. */
  call(to: Addressee, method: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return this.#deps.grpc.unary(to.url, method, request, this.#callOptions(to, timeoutMs));
  }

  /** A call with a stream of answers, all within the time limit. */
  stream(to: Addressee, method: string, request: Uint8Array, timeoutMs: number): GrpcStream {
    return this.#deps.grpc.serverStream(to.url, method, request, this.#callOptions(to, timeoutMs));
  }

  #callOptions({ apiKey }: Addressee, timeoutMs: number): GrpcCallOptions {
    return {
      deadline: this.#deps.clock.now() + timeoutMs,
      timeouts: within(timeoutMs),
      ...(apiKey ? { metadata: { authorization: apiKey.bearer() } } : {}),
    };
  }
}

/** The worker itself, with its own key. */
export function addresseeOf({ spec }: Worker): Addressee {
  return { url: spec.url, apiKey: spec.apiKey };
}

const OWN_HEADERS = `accept: application/json\r\naccept-encoding: identity\r\nconnection: close\r\n${headerLine("user-agent", USER_AGENT)}`;
const NOTHING = new Uint8Array(0);

function within(timeoutMs: number): GrpcCallOptions["timeouts"] {
  return { connectMs: timeoutMs, firstByteMs: timeoutMs, idleMs: timeoutMs };
}

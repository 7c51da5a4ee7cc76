import { headerLine, type Transport, type UpstreamResponse, type UpstreamTimeouts } from "../../transport/upstream.ts";
import type { Worker } from "../../worker/worker.ts";
import { engineRequestId } from "../engine-request-id.ts";
import type { InferenceRequest } from "../router.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import { USER_AGENT } from "../../util/version.ts";

export interface HttpForwarderDeps {
  readonly transport: Transport;
  readonly timeouts: UpstreamTimeouts & {
    /** The whole request, first byte in to last byte out, ms. */
    readonly totalMs: number;
  };
  /** Client headers that workers get besides the built-in ones, lower case. */
  readonly forwardHeaders: readonly string[];
}

/** What a worker gets of a client's headers. Credentials, cookies and addresses are not among them. */
const FORWARDED_HEADERS = [
  "accept",
  "traceparent",
  "tracestate",
  "anthropic-version",
  "anthropic-beta",
  "openai-beta",
] as const;

/** Header lines that are not the client's, or not as they are. */
const OWN: ReadonlySet<string> = new Set(["content-type", "accept-encoding", "x-request-id", "user-agent"]);

/** Where a request goes, and what differs from what the client sent. */
export interface Forwarding {
  readonly worker: Worker;
  readonly body: Uint8Array;
  readonly signal: LeaveSignal;
  /** The request id that the workers of one try share; without it the worker gets one of its own. */
  readonly requestId?: string | undefined;
  /** Further header lines. */
  readonly headers?: string | undefined;
}

/** A client's request on its way to an HTTP worker: same path, allow-listed headers, the worker's own credential. */
export class HttpForwarder {
  readonly #deps: HttpForwarderDeps;
  readonly #forwarded: readonly string[];

  constructor(deps: HttpForwarderDeps) {
    this.#deps = deps;
    // Each once, and none that is written here.
    this.#forwarded = [...new Set([...FORWARDED_HEADERS, ...deps.forwardHeaders])].filter((name) => !OWN.has(name));
  }

  /** Throws what `Transport.send` throws. */
  forward(request: InferenceRequest, to: Forwarding): Promise<UpstreamResponse> {
    const { transport, timeouts } = this.#deps;
    return transport.send(
      {
        origin: to.worker.url,
        method: "POST",
        path: request.endpoint.path,
        headers: this.#headers(request, to),
        body: to.body,
        timeouts,
        deadline: request.record.startedAt + timeouts.totalMs,
      },
      to.signal,
    );
  }

  #headers(request: InferenceRequest, { worker, requestId, headers = "" }: Forwarding): string {
    const id = requestId ?? engineRequestId(request.record);
    let lines = `content-type: application/json\r\naccept-encoding: identity\r\nx-request-id: ${id}\r\n${headers}`;
    // What stood in the head of a request is one line each: its reader refused all else.
    lines += `user-agent: ${request.headers.get("user-agent") ?? USER_AGENT}\r\n`;
    for (const name of this.#forwarded) {
      const value = request.headers.get(name);
      if (value !== null) lines += `${name}: ${value}\r\n`;
    }
    const key = worker.spec.apiKey;
    if (key) lines += headerLine("authorization", key.bearer());
    return lines;
  }
}

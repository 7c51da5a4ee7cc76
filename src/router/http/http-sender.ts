import { headerLine, type Transport, type UpstreamResponse, type UpstreamTimeouts } from "../../transport/upstream.ts";
import type { Worker } from "../../worker/worker.ts";
import type { InferenceRequest } from "../router.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";

export interface HttpSenderDeps {
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

/** What one worker is sent, where it is not what the client sent. */
export interface Dispatch {
  readonly worker: Worker;
  readonly body: Uint8Array;
  readonly signal: LeaveSignal;
  /** The request id that the worker gets, where it carries meaning between workers. */
  readonly requestId?: string | undefined;
  /** Further header lines. */
  readonly headers?: string | undefined;
}

/** A client's request on its way to an HTTP worker: same path, allow-listed headers, the worker's own credential. */
export class HttpSender {
  readonly #deps: HttpSenderDeps;
  readonly #forwarded: readonly string[];

  constructor(deps: HttpSenderDeps) {
    this.#deps = deps;
    this.#forwarded = [...FORWARDED_HEADERS, ...deps.forwardHeaders];
  }

  /** Throws what `Transport.send` throws. */
  send(request: InferenceRequest, dispatch: Dispatch): Promise<UpstreamResponse> {
    const { transport, timeouts } = this.#deps;
    return transport.send(
      {
        origin: dispatch.worker.url,
        method: "POST",
        path: request.endpoint.path,
        headers: this.#headers(request, dispatch),
        body: dispatch.body,
        timeouts,
        deadline: request.record.startedAt + timeouts.totalMs,
      },
      dispatch.signal,
    );
  }

  #headers(request: InferenceRequest, { worker, requestId, headers = "" }: Dispatch): string {
    let lines = `content-type: application/json\r\naccept-encoding: identity\r\nx-request-id: ${requestId ?? request.record.requestId}\r\n${headers}`;
    for (const name of this.#forwarded) {
      const value = request.headers.get(name);
      if (value !== null) lines += headerLine(name, value);
    }
    const key = worker.spec.apiKey;
    if (key) lines += headerLine("authorization", `Bearer ${key.reveal()}`);
    return lines;
  }
}

import { headerLine, type Transport, type UpstreamTimeouts } from "../../transport/upstream.ts";
import { viaLine } from "../../transport/via.ts";
import type { Worker } from "../../worker/worker.ts";
import { ChangedResponse } from "../changed-response.ts";
import { engineRequestId } from "../engine-request-id.ts";
import type { WorkerResponse } from "../response-stage.ts";
import { RANK_HEADER } from "../../engine/rank-pin.ts";
import type { InferenceRequest } from "../router.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import { USER_AGENT } from "../../util/version.ts";
import { ModelName } from "./model-name.ts";

export interface HttpForwarderDeps {
  readonly transport: Transport;
  readonly timeouts: UpstreamTimeouts & {
    /** The whole request, first byte in to last byte out, ms. */
    readonly totalMs: number;
  };
  /** Client headers that workers get in addition to the built-in ones, in lower case. */
  readonly forwardHeaders: readonly string[];
  /** The gateway's entry in `Via`. */
  readonly via: string;
}

/** Client headers that a worker gets. Credentials, cookies and addresses are not among them. */
const FORWARDED_HEADERS = [
  "accept",
  "traceparent",
  "tracestate",
  "anthropic-version",
  "anthropic-beta",
  "openai-beta",
] as const;

/** Header lines that the gateway writes itself. */
const OWN: ReadonlySet<string> = new Set(["content-type", "accept-encoding", "x-request-id", "user-agent", "via"]);

/** The destination of a request, and its differences from the client's request. */
export interface Forwarding {
  readonly worker: Worker;
  readonly body: Uint8Array;
  readonly signal: LeaveSignal;
  /** When its attempt began, if that was in the same turn of the event loop; ms on the transport's clock. */
  readonly now?: number | undefined;
  /** The request id that the workers of one try share; without it the worker gets its own id. */
  readonly requestId?: string | undefined;
  /** Further header lines. */
  readonly headers?: string | undefined;
}

/** Forwards a client's request to an HTTP worker: the same path, allow-listed headers, the worker's own credential. */
export class HttpForwarder {
  readonly #deps: HttpForwarderDeps;
  readonly #forwarded: readonly string[];

  constructor(deps: HttpForwarderDeps) {
    this.#deps = deps;
    // Each header once, without those that the gateway writes itself.
    this.#forwarded = [...new Set([...FORWARDED_HEADERS, ...deps.forwardHeaders])].filter((name) => !OWN.has(name));
  }

  /** Throws what `Transport.send` throws. */
  forward(request: InferenceRequest, to: Forwarding): Promise<WorkerResponse> {
    const { transport, timeouts } = this.#deps;
    const sent = transport.send(
      {
        origin: to.worker.spec.url,
        method: "POST",
        path: request.endpoint.path,
        headers: this.#headers(request, to),
        body: to.body,
        timeouts,
        now: to.now,
        deadline: request.record.startedAt + timeouts.totalMs,
      },
      to.signal,
    );
    return request.answerName === undefined ? sent : renamed(sent, request.answerName);
  }

  #headers(request: InferenceRequest, { worker, requestId, headers = "" }: Forwarding): string {
    const id = requestId ?? engineRequestId(request.record);
    let lines = `content-type: application/json\r\naccept-encoding: identity\r\nx-request-id: ${id}\r\n${headers}`;
    // Each value is one line: the reader of the head refused all others.
    lines += `user-agent: ${request.headers.get("user-agent") ?? USER_AGENT}\r\n`;
    lines += viaLine(this.#deps.via, request.headers.get("via"));
    const traced = request.record.trace?.headers(worker.url);
    for (const name of this.#forwarded) {
      // The gateway has chosen the rank, and an engine would read the client's line too.
      if (name === RANK_HEADER && headers !== "") continue;
      const value = traced?.[name] ?? request.headers.get(name);
      if (value !== null) lines += `${name}: ${value}\r\n`;
    }
    const key = worker.spec.apiKey;
    if (key) lines += headerLine("authorization", key.bearer());
    return lines;
  }
}

/** The answer under the client's name for the model. It is changed before anything else reads it. */
async function renamed(sent: Promise<WorkerResponse>, name: string): Promise<WorkerResponse> {
  return new ChangedResponse(await sent, new ModelName(name));
}

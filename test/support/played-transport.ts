import type { WorkerResponse } from "../../src/router/response-stage.ts";
import type { Transport, UpstreamRequest } from "../../src/transport/upstream.ts";
import type { LeaveSignal } from "../../src/util/leave-signal.ts";

/** What a worker was sent, and how its request is ended. */
export interface Sent extends UpstreamRequest {
  readonly signal: LeaveSignal | undefined;
}

/** A transport without sockets: a test says what each request is answered with. */
export class PlayedTransport implements Transport {
  readonly openSockets = 0;
  readonly sent: Sent[] = [];
  readonly #answer: (request: UpstreamRequest) => WorkerResponse | Promise<WorkerResponse>;

  constructor(answer: (request: UpstreamRequest) => WorkerResponse | Promise<WorkerResponse>) {
    this.#answer = answer;
  }

  failAll(): void {}

  forget(): void {}

  async send(request: UpstreamRequest, signal: LeaveSignal | undefined): Promise<WorkerResponse> {
    this.sent.push({ ...request, signal });
    return this.#answer(request);
  }
}

/** The body that a worker was sent. */
export function bodySentIn({ body }: UpstreamRequest): Record<string, unknown> {
  return JSON.parse(Buffer.from(body ?? []).toString()) as Record<string, unknown>;
}

import { PredictionErrors } from "../../src/observability/prediction-errors.ts";
import { RequestRecord } from "../../src/observability/request-record.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { Attempt } from "../../src/router/attempt.ts";
import type { Chosen } from "../../src/router/chosen.ts";
import { FailureLog } from "../../src/router/failure-log.ts";
import type { DispatchDeps } from "../../src/router/retry.ts";
import { RetryBudget } from "../../src/router/retry-budget.ts";
import type { WorkerResponse } from "../../src/router/response-stage.ts";
import type { InferenceRequest } from "../../src/router/router.ts";
import type { ReplySink } from "../../src/transport/downstream.ts";
import type { PieceTaker } from "../../src/transport/upstream.ts";
import { LeaveController } from "../../src/util/leave-signal.ts";
import { FailedLoad } from "../../src/worker/failed-load.ts";
import type { Worker } from "../../src/worker/worker.ts";
import { bodyOf } from "./answers.ts";
import { requestWith } from "./candidates.ts";
import { endpointAt } from "./endpoints.ts";
import { type FleetSetup, setUpFleet } from "./fleet.ts";

/** Chooses the first of the candidates. */
export const FIRST: Policy = { name: "first", pick: () => 0 };

export interface RoutingSetup extends FleetSetup {
  readonly deps: DispatchDeps;
  /** Ends the request of this signal, as its client does by leaving. */
  readonly client: LeaveController;
  request(options?: RequestOptions): InferenceRequest;
  attempt(worker: Worker, request?: InferenceRequest, pick?: Chosen["pick"]): Attempt;
}

export interface RequestOptions {
  readonly path?: string;
  readonly body?: object;
  readonly model?: string | undefined;
  readonly isStream?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What routers stand on, without sockets and on a clock that stands still. */
export function setUpRouting(settings: Partial<DispatchDeps> = {}): RoutingSetup {
  const fleet = setUpFleet();
  const { clock, ledger, metrics, board: outcomes } = fleet;
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const client = new LeaveController();
  const deps: DispatchDeps = {
    clock,
    ledger,
    metrics,
    outcomes,
    failedLoad: new FailedLoad(clock),
    failureLog: new FailureLog(silent, clock),
    decisions: undefined,
    predictionErrors: new PredictionErrors(metrics),
    random: () => 0,
    capacityRetryAfterSecs: 5,
    wanted: { ask: () => undefined },
    retry: { maxAttempts: 2, backoffMs: 50, jitterRatio: 0.5 },
    budget: new RetryBudget({ minPerSec: 10, ratio: 0.2 }, clock),
    ...settings,
  };
  const request = (options: RequestOptions = {}): InferenceRequest => {
    const { path = "/v1/chat/completions", body = {}, isStream = false, headers = {} } = options;
    const model = "model" in options ? options.model : "m";
    const endpoint = endpointAt(path);
    const record = new RequestRecord("r1", endpoint.name, { settle: () => undefined }, clock);
    record.model = model;
    return {
      endpoint,
      model,
      isStream,
      body: bodyOf({ model, ...body }),
      headers: new Headers(headers),
      features: requestWith({ model: model ?? "" }),
      record,
      signal: client,
    };
  };
  return {
    ...fleet,
    deps,
    client,
    request,
    attempt: (worker, of = request(), pick) => new Attempt(deps, chosen(worker, { pick }), of),
  };
}

/** A choice of this worker, of which nothing else matters. */
export function chosen(worker: Worker, more: Partial<Chosen> = {}): Chosen {
  return {
    worker,
    isProbe: false,
    pick: undefined,
    policy: FIRST.name,
    reason: "fixed",
    candidates: 1,
    decision: undefined,
    ...more,
  };
}

/** A worker's answer that a test plays, piece by piece. An error ends it as a broken connection does. */
export class PlayedResponse implements WorkerResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #pieces: (Uint8Array | Error)[];
  isDiscarded = false;
  /** Pieces that went the fast way. */
  followed = 0;

  constructor(pieces: readonly (string | Error)[], { status = 200, type = "text/event-stream" } = {}) {
    this.status = status;
    this.headers = new Map([["content-type", type]]);
    this.#pieces = pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece));
  }

  read(): Promise<Uint8Array | undefined> {
    const next = this.#pieces.shift();
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  }

  follow(taker: PieceTaker): Promise<void> {
    for (let next = this.#pieces[0]; next && !(next instanceof Error); next = this.#pieces[0]) {
      this.#pieces.shift();
      this.followed += 1;
      if (!taker.take(next, 0, next.length)) break;
    }
    return Promise.resolve();
  }

  async bytes(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let next = await this.read(); next; next = await this.read()) pieces.push(next);
    return Buffer.concat(pieces);
  }

  discard(): void {
    this.isDiscarded = true;
  }
}

/** A client that keeps what it is written. */
export class PlayedClient implements ReplySink {
  text = "";
  isBroken = false;
  /** What the next write waits for. */
  pressure: Promise<void> | undefined;

  write(bytes: Uint8Array, from = 0, to = bytes.length): Promise<void> | undefined {
    this.text += Buffer.from(bytes.subarray(from, to)).toString();
    const { pressure } = this;
    this.pressure = undefined;
    return pressure;
  }

  breakOff(): void {
    this.isBroken = true;
  }
}

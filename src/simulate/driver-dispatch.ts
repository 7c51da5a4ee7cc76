import type { SimFleet } from "./driver-fleet.ts";
import type { SimGateway } from "./driver-gateway.ts";
import { ANSWERED, type Records } from "./driver-records.ts";
import type { SimLeg, SimRequest } from "./driver-request.ts";
import type { Sequence } from "./engine-sequence.ts";
import type { EngineEvents } from "./engine.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** Time until a dead worker's refusal arrives, ms. */
const REFUSAL_MS = 1;
/** Workers that a request is sent to at most. */
const MAX_ATTEMPTS = 3;

/** How a KV cache gets from a prefill to a decode worker: a fixed time, and time for each token that the other one does not have, ms. */
export interface HandOver {
  readonly fixedMs: number;
  readonly tokenMs: number;
}

/** The parts that requests are sent with. */
export interface DispatchDeps {
  readonly time: VirtualTime;
  readonly fleet: SimFleet;
  readonly records: Records;
  readonly gateways: readonly SimGateway[];
  readonly gatewayOf: (row: number) => SimGateway;
  readonly handOver: HandOver;
  /** Whether engines report token counts. */
  readonly reportsUsage: boolean;
  /** Called when a request is over, with whatever outcome. */
  readonly onOver: (request: SimRequest) => void;
}

/**
 * Sends requests to the engines that a gateway chooses, and tells the gateway what it would see of them.
 *
 * ```
 *   send -- prefill worker -- hand-over of the KV cache --> answering worker -- first token -- last token --> over
 *     \----------------- no pair, or prefilled there -------/       |
 *     ^-------------------- sent to another worker ---------------- lost
 * ```
 */
export class Dispatch {
  readonly #deps: DispatchDeps;
  /** Requests at engines, by their rows. */
  readonly #atEngines = new Map<number, SimRequest>();

  constructor(deps: DispatchDeps) {
    this.#deps = deps;
  }

  /** What engines tell. */
  readonly events: EngineEvents = {
    onFirstToken: (sequence) => this.#withRequest(sequence, (request) => this.#firstToken(request, sequence)),
    onDone: (sequence) => this.#withRequest(sequence, (request) => this.#done(request, sequence)),
  };

  #withRequest({ tag }: Pick<Sequence, "tag">, act: (request: SimRequest) => void): void {
    const request = this.#atEngines.get(tag);
    if (request) act(request);
  }

  /** Sends a request to the workers that its gateway chooses. */
  send(request: SimRequest): void {
    const { row, features, engineRequest, lost } = request;
    const { fleet, records, gateways, gatewayOf, onOver } = this.#deps;
    fleet.chooseFor(engineRequest);
    // Tokens come to each gateway when engines give them, whoever chooses.
    for (const gateway of gateways) gateway.hearStreams();
    const choice = gatewayOf(row).choose(features, lost);
    if (!choice) {
      onOver(request);
      return;
    }
    const { attempt, decisionUs } = choice;
    request.attempt = attempt;
    records.decisionUs[row] = decisionUs;
    records.predictionErrorMs[row] = Number.NaN;
    if (attempt.prefill) this.#submit(request, attempt.prefill, { outputTokens: 1 });
    else this.#submit(request, attempt.answer, {});
  }

  #submit(request: SimRequest, { worker }: SimLeg, change: { outputTokens?: number; receivedTokens?: number }): void {
    const { row } = request;
    const { fleet, time, gatewayOf } = this.#deps;
    const engineRequest = { ...request.engineRequest, ...change };
    const at = fleet.engine(worker);
    if (at.isDead) {
      time.after(REFUSAL_MS, () => this.#fail(request, worker));
      return;
    }
    if (!at.engine.fits(engineRequest)) {
      time.after(REFUSAL_MS, () => this.#refuse(request));
      return;
    }
    this.#atEngines.set(row, request);
    at.submit(gatewayOf(row).name, engineRequest, row);
  }

  #firstToken({ row, attempt, features }: SimRequest, { cachedTokens }: Sequence): void {
    const { records, time, gatewayOf } = this.#deps;
    if (!attempt) return;
    const { prefill, answer } = attempt;
    // The prefill of a pair has found what was cached; what the other one has received was not.
    if (records.prefillWorker[row] === -1) {
      records.cachedTokens[row] = cachedTokens;
      records.prefillWorker[row] = (prefill ?? answer).worker;
    }
    const leg = prefill ?? answer;
    const expectedMs = leg.picked?.predictedTtftMs;
    if (expectedMs !== undefined && Number.isNaN(records.predictionErrorMs[row]))
      records.predictionErrorMs[row] = Math.abs(time.now() - leg.chargedAt - expectedMs);
    if (prefill) {
      gatewayOf(row).firstToken(prefill);
      return;
    }
    // A stream whose worker was lost goes on at another one: its client has had the first token already.
    if (Number.isNaN(records.ttftMs[row])) records.ttftMs[row] = time.now() - (records.arrivedAt[row] ?? 0);
    records.worker[row] = answer.worker;
    if (features.isStream) gatewayOf(row).firstToken(answer);
  }

  #done(request: SimRequest, sequence: Sequence): void {
    const { row, attempt } = request;
    const { records, time, gatewayOf, onOver } = this.#deps;
    this.#atEngines.delete(row);
    if (!attempt) return;
    if (attempt.prefill) {
      gatewayOf(row).end(attempt.prefill, "answered", undefined);
      attempt.prefill = undefined;
      this.#handOver(request, attempt.answer);
      return;
    }
    records.totalMs[row] = time.now() - (records.arrivedAt[row] ?? 0);
    records.outcome[row] = ANSWERED;
    gatewayOf(row).end(attempt.answer, "answered", this.#usageOf(sequence));
    onOver(request);
  }

  #usageOf({ request: { promptTokens, outputTokens }, cachedTokens }: Sequence) {
    return this.#deps.reportsUsage ? { promptTokens, completionTokens: outputTokens, cachedTokens } : undefined;
  }

  /** Moves the KV cache. The decode worker computes the last token of the prompt itself and so gets the first one of the answer. */
  #handOver(request: SimRequest, answer: SimLeg): void {
    const { fleet, time, handOver } = this.#deps;
    const { promptTokens } = request.engineRequest;
    const missing = promptTokens - fleet.engine(answer.worker).engine.hitTokens(request.engineRequest);
    time.after(handOver.fixedMs + handOver.tokenMs * missing, () => {
      if (request.attempt?.answer === answer) this.#submit(request, answer, { receivedTokens: promptTokens - 1 });
    });
  }

  /** Engines have lost these sequences. */
  lose(worker: number, sequences: readonly Sequence[]): void {
    for (const sequence of sequences) this.#withRequest(sequence, (request) => this.#fail(request, worker));
  }

  /** The request is too long for the worker. As with real engines its client is told so: nobody else is asked, and no worker is to blame. */
  #refuse(request: SimRequest): void {
    const { row, attempt } = request;
    if (!attempt) return;
    request.attempt = undefined;
    for (const leg of [attempt.prefill, attempt.answer]) {
      if (leg) this.#deps.gatewayOf(row).end(leg, "abandoned", undefined);
    }
    this.#deps.onOver(request);
  }

  /** A worker did not serve the request, which is sent to another one, if there is one and the request may try again. */
  #fail(request: SimRequest, worker: number): void {
    const { row, attempt, lost } = request;
    if (!attempt) return;
    this.#atEngines.delete(row);
    request.attempt = undefined;
    for (const leg of [attempt.prefill, attempt.answer]) {
      if (leg) this.#deps.gatewayOf(row).end(leg, leg.worker === worker ? "failed" : "abandoned", undefined);
    }
    lost.add(worker);
    if (lost.size === MAX_ATTEMPTS) {
      this.#deps.onOver(request);
      return;
    }
    this.#deps.records.retries[row] = lost.size;
    this.#deps.records.prefillWorker[row] = -1;
    this.send(request);
  }
}

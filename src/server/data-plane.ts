import { asGatewayError, type GatewayError, tookTooLong, whyLeft } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { createRecordSink, type KeyTally, type RecordSink, RequestRecord } from "../observability/request-record.ts";
import { type Tracer, traced } from "../observability/traces/tracer.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import { readJsonBody } from "../protocol/json/json-body.ts";
import { AwaitedStream, type AwaitedStreamDeps } from "../router/awaited-stream.ts";
import type { StreamWatch } from "../router/stream-watch.ts";
import type { ClientRequest, Reply } from "../transport/downstream.ts";
import type { Clock } from "../util/clock.ts";
import type { Permit } from "./admission.ts";
import { type BodyBounds, readBody } from "./body.ts";
import { ByteBudget } from "./byte-budget.ts";
import { type Gate, NO_PERMIT } from "./gate.ts";
import { ModelEntry, type ModelEntryDeps } from "./model-entry.ts";
import { readRequest } from "./read-request.ts";
import { Refusals } from "./refusals.ts";
import { receive, type ReceptionDeps, type Visit } from "./visit.ts";
import { DeadlineLine } from "../util/deadline-line.ts";

export interface DataPlaneSettings {
  /** Silence after which the client of a stream gets a comment or ping, ms; Infinity for never. */
  readonly keepAliveMs: number;
  /** Longest time of a request, first byte in to last byte out, ms. */
  readonly totalMs: number;
  /** Longest time without a byte of the body, ms. */
  readonly bodyStallMs: number;
  readonly maxBodyBytes: number;
  /** Whether a request must name a model. */
  readonly isModelRequired: boolean;
  /** Names of the headers that may have the routing key, in lower case. */
  readonly sessionHeaders: readonly string[];
  /** Whether the log has a line for each choice of a worker, explained. */
  readonly logsDecisions: boolean;
  /** Share of the requests whose choices are explained where nobody asked, 0 to 1. */
  readonly explainRatio: number;
}

export interface DataPlaneDeps extends Pick<ModelEntryDeps, "plans" | "route">, ReceptionDeps {
  readonly settings: DataPlaneSettings;
  /** The transports' clock: deadlines are times of it. */
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly gate: Gate;
  /** Counts what each key has used. */
  readonly tally?: KeyTally | undefined;
  /** Sends signs of life to clients of streams that have not begun. */
  readonly watch: StreamWatch;
  /** Most bytes of requests that are held at once. */
  readonly maxBytesInFlight: number;
  /** Decides which requests are traced; undefined where none is. */
  readonly tracer?: Tracer | undefined;
}

/** The part of the data plane that a change of the configuration replaces. A request keeps the one that it began with. */
export type DataPlaneWays = Pick<DataPlaneDeps, "settings" | "plans" | "route">;

/** The settings in force, and what is made of them. */
interface Ways {
  readonly settings: DataPlaneSettings;
  readonly bounds: BodyBounds;
  readonly recordSink: RecordSink;
  readonly awaited: AwaitedStreamDeps;
  readonly deadlines: DeadlineLine<ClientRequest>;
  readonly models: ModelEntry;
}

/**
 * Steps that talk to workers keep the request's deadline themselves, because they know who is at fault. This much later, ms, every
 * other wait of the request is ended.
 */
const LAST_STEP_MS = 200;

/**
 * Takes a request through its steps: authenticate, read the body, enter the gate, parse once, enter the model's gate, route. Each
 * step has its own errors and bound.
 */
export class DataPlane implements Disposable {
  readonly #deps: DataPlaneDeps;
  /** Counts the bytes of requests that this data plane holds. */
  readonly budget: ByteBudget;
  readonly refusals: Refusals;
  #ways: Ways;
  /** One for each time that requests were given since the start; a line of before has the requests that began with it. */
  readonly #lines = new Map<number, DeadlineLine<ClientRequest>>();
  #active = 0;
  #waiting = 0;

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
    this.budget = new ByteBudget(deps.maxBytesInFlight);
    this.#ways = this.#waysOf(deps);
    this.refusals = new Refusals(deps);
  }

  /** Changes what the next requests get. */
  replace(ways: DataPlaneWays): void {
    this.#ways = this.#waysOf(ways);
  }

  /** Number of requests that have not ended. */
  get active(): number {
    return this.#active;
  }

  /** Number of requests that have their place. */
  get admitted(): number {
    return this.#active - this.#waiting;
  }

  /** Whether the memory is full. Answers then end their connection, so that clients come back elsewhere. */
  get isFull(): boolean {
    return this.#deps.pressure.isFull;
  }

  /** Answers a request. Never rejects: an error is an answer in the words of the endpoint's API. */
  async handle(endpoint: Endpoint, request: ClientRequest, requestId: string): Promise<Reply> {
    const { gate } = this.#deps;
    const ways = this.#ways;
    const record = this.#open(endpoint, request, requestId, ways);
    let visit: Visit | undefined;
    try {
      const received = receive(this.#deps, request, record, this.#active - 1);
      const entry = received instanceof Promise ? await received : received;
      visit = entry;
      if (!request.isWhole) {
        // A request takes its place when its body is complete, so a slow sender holds none. A request that would be refused is refused before it sends the body.
        entry.foresee();
        const foreseen = gate.foresee(entry, request.signal);
        if (foreseen) await foreseen;
      }
      const read = readBody(request, ways.bounds);
      const bytes = read instanceof Promise ? await read : read;
      entry.enter(record);
      const place = this.#enter(entry, request, record);
      const parsed = readJsonBody(bytes);
      const body = parsed instanceof Promise ? await parsed : parsed;
      const understood = readRequest({
        endpoint,
        request,
        body,
        record,
        isModelRequired: ways.settings.isModelRequired && endpoint.work !== "parse",
        sessionHeaders: ways.settings.sessionHeaders,
      });
      entry.ask(understood);
      const begun = place
        ? place.then(() => ways.models.answer(understood, entry))
        : ways.models.answer(understood, entry);
      const reply = await (understood.isStream ? AwaitedStream.of(ways.awaited, understood, begun) : begun);
      entry.addLimits(reply, endpoint.dialect);
      return reply;
    } catch (thrown) {
      const error = request.signal.aborted ? whyLeft(request.signal.reason) : asGatewayError(thrown);
      if (error.code === "internal_error") this.onDefect(error, requestId);
      const reply = this.refusals.of(error, endpoint, record);
      visit?.addLimits(reply, endpoint.dialect);
      return reply;
    }
  }

  /** Its port is closed: no request that is left is timed any more. */
  [Symbol.dispose](): void {
    for (const line of this.#lines.values()) line[Symbol.dispose]();
  }

  onDefect({ cause }: GatewayError, requestId: string): void {
    logDefect(this.#deps.logger, cause, requestId);
  }

  /** Counts the request until it is over, and bounds its time. */
  #open(
    endpoint: Endpoint,
    request: ClientRequest,
    requestId: string,
    { settings, recordSink, deadlines }: Ways,
  ): RequestRecord {
    const record = new RequestRecord(requestId, endpoint.name, recordSink, this.#deps.clock);
    const { tracer } = this.#deps;
    if (tracer) record.trace = tracer.begin(endpoint, request.headers, record);
    if (record.trace || explains(settings)) record.decisions = [];
    this.#active += 1;
    const timed = deadlines.add(request, record.startedAt);
    record.onSettled(() => {
      this.#active -= 1;
      deadlines.delete(timed);
    });
    return record;
  }

  #waysOf({ settings, plans, route }: DataPlaneWays): Ways {
    const { logger, metrics, watch, clock, gate, tally } = this.#deps;
    const { keepAliveMs, totalMs, bodyStallMs, maxBodyBytes, logsDecisions, sessionHeaders } = settings;
    return {
      settings,
      bounds: { maxBytes: maxBodyBytes, timeoutMs: totalMs, stallMs: bodyStallMs },
      recordSink: traced(createRecordSink(logger, metrics, logsDecisions, tally), this.#deps.tracer),
      awaited: { watch, clock, keepAliveMs, onDefect: (error, requestId) => this.onDefect(error, requestId) },
      deadlines: this.#lineOf(totalMs + LAST_STEP_MS),
      models: new ModelEntry({
        ...{ metrics, gate, plans, route, totalMs, sessionHeaders },
        inLine: (place) => this.#inLine(place),
      }),
    };
  }

  #lineOf(ms: number): DeadlineLine<ClientRequest> {
    const known = this.#lines.get(ms);
    if (known) return known;
    for (const [length, line] of this.#lines) if (line.isEmpty) this.#lines.delete(length);
    const line = new DeadlineLine<ClientRequest>(this.#deps.clock, ms, (request) => request.giveUp?.(tookTooLong()));
    this.#lines.set(ms, line);
    return line;
  }

  /** Takes a place, or a turn in the line for one: then the promise of it. */
  #enter(entry: Visit, { signal }: ClientRequest, record: RequestRecord): Promise<void> | undefined {
    const entered = this.#deps.gate.enter(entry, signal);
    if (!(entered instanceof Promise)) {
      releaseAtEnd(record, entered);
      return undefined;
    }
    // The body is read meanwhile, so that the client of a stream gets signs of life.
    const place = this.#inLine(entered).then((permit) => releaseAtEnd(record, permit));
    // If the body is refused, nothing waits for the place any more. It is given back when it arrives.
    place.catch(() => undefined);
    return place;
  }

  async #inLine(place: Promise<Permit>): Promise<Permit> {
    this.#waiting += 1;
    try {
      return await place;
    } finally {
      this.#waiting -= 1;
    }
  }
}

/** Whether the request's choices are kept with all candidates. */
function explains({ logsDecisions, explainRatio }: DataPlaneSettings): boolean {
  return logsDecisions || (explainRatio > 0 && Math.random() < explainRatio);
}

/** Logs a defect of the gateway. The client gets only the request id. */
export function logDefect(logger: Logger, cause: unknown, requestId: string): void {
  const stack = cause instanceof Error ? cause.stack : undefined;
  logger.error({ request_id: requestId, error: String(cause), stack }, "defect");
}

function releaseAtEnd(record: RequestRecord, permit: Permit): void {
  if (permit !== NO_PERMIT) record.onSettled(() => permit.release());
}

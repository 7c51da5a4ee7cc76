import type { EngineRole, Handler, RecordedRequest } from "../../../src/engine-sim/engine.ts";
import type { GenerationRun } from "../../../src/engine-sim/generation-run.ts";
import type { RoleInfo } from "../../../src/engine-sim/info-routes.ts";
import { errorReply } from "../../../src/engine-sim/reply.ts";
import { parseExact } from "./exact-json.ts";
import { brokenInside, FaultPlan, type PdFault, startedReply, strike } from "./faults.ts";
import { legPrompts } from "./leg-prompts.ts";
import { PdError } from "./pd-error.ts";
import type { PdExchange, PdSide } from "./pd-options.ts";
import type { Leg, LegRequest, PdContext, PdProtocol } from "./pd-protocol.ts";

/** One half of a pair: each generation passes the dialect's checks and hand-over, and the fault that is set. */
export class PdRole implements EngineRole {
  readonly info: RoleInfo;
  readonly faults = new FaultPlan();
  readonly #side: PdSide;
  readonly #context: PdContext;
  readonly #protocol: PdProtocol;

  constructor(side: PdSide, context: PdContext, protocol: PdProtocol, info: RoleInfo) {
    this.#side = side;
    this.#context = context;
    this.#protocol = protocol;
    this.info = info;
  }

  async serve(request: RecordedRequest, run: GenerationRun, handler: Handler): Promise<Response> {
    const prompts = legPrompts(request.path, run.body);
    if (!prompts) return handler(run);
    const leg: LegRequest = { request, body: run.body, exact: parseExact(request.body), prompts };
    const exchange = this.#begin(leg);
    const fault = this.faults.take();
    const struck = await strike(fault, "arrival", request.signal);
    if (struck) return struck;
    try {
      const admitted = await this.#protocol[this.#side](leg);
      return await this.#answer(admitted, exchange, fault, run, handler);
    } catch (error) {
      return this.#failure(error);
    }
  }

  #begin(leg: LegRequest): PdExchange {
    const { journal, record, address } = this.#context;
    const { request } = leg;
    const exchange: PdExchange = { request, sequence: journal.next(), isAborted: false, endSequence: undefined };
    record.exchanges.push(exchange);
    if (record.exchanges.length > KEPT_EXCHANGES) record.exchanges.shift();
    request.signal.addEventListener("abort", () => (exchange.isAborted = exchange.endSequence === undefined));
    for (const key of this.#protocol.keys(leg)) journal.announce(this.#side, key, address());
    return exchange;
  }

  async #answer(
    leg: Leg,
    exchange: PdExchange,
    fault: PdFault | undefined,
    run: GenerationRun,
    handler: Handler,
  ): Promise<Response> {
    const { signal } = exchange.request;
    const end = (): void => {
      exchange.endSequence = this.#context.journal.next();
    };
    let isStream = false;
    signal.addEventListener("abort", () => leg.abandon?.());
    try {
      const events = async (frames: AsyncGenerator<string, void, void>): Promise<Response> => {
        isStream = true;
        return startedReply(frames, fault, signal, end);
      };
      const response = await handler({ ...leg.run(run), events });
      const left = (await leg.leave?.(response)) ?? response;
      const struck = await strike(fault, "handoff", signal);
      if (struck) {
        await left.body?.cancel();
        return struck;
      }
      if (isStream) return left;
      if (!signal.aborted && fault?.kind !== "die") end();
      return await brokenInside(left, fault);
    } catch (error) {
      leg.abandon?.();
      throw error;
    }
  }

  #failure(error: unknown): Response {
    if (!(error instanceof PdError)) throw error;
    const { violations, kvFailures } = this.#context.record;
    if (error.kind === "violation") violations.push(error.message);
    if (error.kind === "kv") kvFailures.push(error.message);
    const type = error.status === 400 ? "BadRequestError" : "KVTransferError";
    return errorReply(error.status, type, error.message);
  }
}

/** Exchanges that a record keeps. */
const KEPT_EXCHANGES = 10_000;

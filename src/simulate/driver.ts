import type { PolicyNews } from "../policy/policy.ts";
import { Dispatch, type HandOver } from "./driver-dispatch.ts";
import { SimFleet } from "./driver-fleet.ts";
import { type SimPolicy, SimGateway } from "./driver-gateway.ts";
import { Records } from "./driver-records.ts";
import { SimFeatures, type SimRequest } from "./driver-request.ts";
import { idleTtftMs } from "./engine-models.ts";
import type { EngineRequest } from "./engine-sequence.ts";
import { IdealCache } from "./loads/ideal-cache.ts";
import type { Fault, Load, Session } from "./loads/load.ts";
import { Texts } from "./loads/texts.ts";
import { seededRandom } from "./seeded-random.ts";
import { VirtualTime } from "./virtual-time.ts";

/** What to run. */
export interface RunOptions {
  readonly load: Load;
  readonly policy: SimPolicy;
  readonly seed: number;
  /** Gateways that share the requests at random; 1 by default. */
  readonly gateways?: number;
  /** How late gateways hear of each other's requests, ms; without it they are blind for each other. */
  readonly newsDelayMs?: number | undefined;
  /** Whether clients ask for streams; true by default. Without streams a gateway does not see first tokens. */
  readonly isStream?: boolean;
  /** Whether engines report `prompt_tokens` and `cached_tokens`; true by default. */
  readonly reportsUsage?: boolean;
  /** What engines report of their KV cache, as a multiple of the truth; 1 by default, undefined for engines that report nothing. */
  readonly kvReportFactor?: number | undefined;
  /** How KV caches get from prefill to decode workers; 3 ms and 10 us a token by default. */
  readonly handOver?: HandOver;
  /** Whether decode workers may prefill prompts themselves; true by default. */
  readonly prefillsAlone?: boolean;
  /** Called now and then with the virtual time, ms. */
  readonly onProgress?: (atMs: number) => void;
}

/** What came of it. */
export interface RunResult {
  readonly load: Load;
  readonly policy: string;
  readonly seed: number;
  readonly records: Records;
  /** Sequences that engines have preempted. */
  readonly preemptions: number;
}

/** Virtual time between two calls of `onProgress`, ms. */
const PROGRESS_EACH_MS = 1000;
const HAND_OVER: HandOver = { fixedMs: 3, tokenMs: 0.01 };

/** Runs a load in virtual time through gateways with a policy, until every request is over. Equal options give equal records. */
export function runLoad(options: RunOptions): RunResult {
  return new Run(options).run();
}

class Run {
  readonly #options: RunOptions;
  readonly #time = new VirtualTime();
  readonly #texts = new Texts();
  readonly #records = new Records();
  readonly #fleet: SimFleet;
  readonly #gateways: readonly SimGateway[];
  readonly #dispatch: Dispatch;
  readonly #ideal = new IdealCache();
  /** Gives each request to a gateway. */
  readonly #split: () => number;
  readonly #blockTokens: number;

  constructor(options: RunOptions) {
    const { load, seed, gateways = 1, handOver = HAND_OVER, reportsUsage = true } = options;
    this.#options = options;
    this.#split = seededRandom(seed, 1);
    this.#blockTokens = load.workers[0]?.engine.blockTokens ?? 1;
    this.#fleet = new SimFleet(
      load.workers,
      () => this.#dispatch.events,
      this.#time,
      options.policy.isLate ? (options.newsDelayMs ?? 0) : undefined,
    );
    this.#gateways = Array.from({ length: gateways }, (_, index) => this.#gateway(index));
    this.#dispatch = new Dispatch({
      time: this.#time,
      fleet: this.#fleet,
      records: this.#records,
      gateways: this.#gateways,
      gatewayOf: (row) => this.#gatewayOf(row),
      handOver,
      reportsUsage,
      onOver: (request) => this.#over(request),
    });
  }

  #gateway(index: number): SimGateway {
    const { load, policy, seed, newsDelayMs, prefillsAlone = true } = this.#options;
    const factor = "kvReportFactor" in this.#options ? this.#options.kvReportFactor : 1;
    const isAlone = (this.#options.gateways ?? 1) === 1;
    return new SimGateway({
      name: `g${index}`,
      policy,
      fleet: this.#fleet,
      time: this.#time,
      random: seededRandom(seed, 2, index),
      workers: load.workers.map(({ kvTokens, role = "regular" }) => ({
        role,
        kvCapacityTokens: factor && Math.round(kvTokens * factor),
      })),
      prefillsAlone,
      tell: newsDelayMs === undefined || isAlone ? undefined : (news) => this.#carry(news, index, newsDelayMs),
    });
  }

  #carry(news: PolicyNews, from: number, delayMs: number): void {
    this.#time.after(delayMs, () => {
      for (const [index, gateway] of this.#gateways.entries()) if (index !== from) gateway.hear(news);
    });
  }

  #gatewayOf(row: number): SimGateway {
    const gateway = this.#gateways[this.#records.gateway[row] ?? 0];
    if (!gateway) throw new RangeError("a request has no gateway");
    return gateway;
  }

  run(): RunResult {
    const { load, policy, seed, onProgress } = this.#options;
    for (const session of load.sessions) this.#time.at(session.startAtMs, () => this.#arrive(session, 0));
    for (const fault of load.faults) this.#time.at(fault.atMs, () => this.#strike(fault));
    for (const [worker, { joinsAtMs }] of load.workers.entries()) {
      if (joinsAtMs === 0) this.#join(worker);
      else this.#time.at(joinsAtMs, () => this.#join(worker));
    }
    let nextProgress = PROGRESS_EACH_MS;
    while (this.#step()) {
      if (this.#time.now() < nextProgress) continue;
      nextProgress = this.#time.now() + PROGRESS_EACH_MS;
      onProgress?.(this.#time.now());
    }
    return { load, policy: policy.name, seed, records: this.#records, preemptions: this.#fleet.preemptions };
  }

  /** Lets the next thing happen. Returns false where nothing is left. */
  #step(): boolean {
    const engine = this.#fleet.next();
    const engineAt = engine?.nextAt ?? Number.POSITIVE_INFINITY;
    if (engine && engineAt <= this.#time.nextAt) {
      this.#time.moveTo(engineAt);
      engine.advance();
      return true;
    }
    if (this.#time.nextAt === Number.POSITIVE_INFINITY) return false;
    this.#time.fireNext();
    return true;
  }

  #join(worker: number): void {
    for (const gateway of this.#gateways) gateway.join(worker);
  }

  #arrive(session: Session, turnIndex: number): void {
    const turn = session.turns[turnIndex];
    if (!turn || this.#time.now() > this.#options.load.durationMs) return;
    const { prompt, answer, outputTokens } = turn;
    const blocks = this.#texts.blocksOf(prompt, answer, this.#blockTokens);
    const engineRequest = { blocks, promptTokens: prompt.tokens, outputTokens, receivedTokens: 0 };
    const row = this.#records.add(this.#time.now(), Math.floor(this.#split() * this.#gateways.length));
    this.#describe(row, engineRequest);
    const features = new SimFeatures(prompt, session.key, this.#options.isStream ?? true, this.#texts);
    this.#dispatch.send({ row, session, turnIndex, features, engineRequest, lost: new Set(), attempt: undefined });
  }

  #describe(row: number, { blocks, promptTokens, outputTokens }: EngineRequest): void {
    const whole = Math.min(blocks.length, Math.floor((promptTokens - 1) / this.#blockTokens));
    const ideal = this.#ideal.hits(blocks, whole) * this.#blockTokens;
    this.#ideal.add(blocks, Math.floor(promptTokens / this.#blockTokens));
    this.#records.promptTokens[row] = promptTokens;
    this.#records.outputTokens[row] = outputTokens;
    this.#records.idealTokens[row] = ideal;
    let bound = Number.POSITIVE_INFINITY;
    for (const { engine, slowness } of this.#options.load.workers) {
      bound = Math.min(bound, slowness * idleTtftMs(engine, promptTokens, ideal));
    }
    this.#records.boundMs[row] = bound;
  }

  /** The session goes on after a pause, whatever became of the request. */
  #over({ session, turnIndex, engineRequest: { blocks } }: SimRequest): void {
    this.#ideal.add(blocks, blocks.length);
    const next = session.turns[turnIndex + 1];
    if (next) this.#time.after(next.thinkMs, () => this.#arrive(session, turnIndex + 1));
  }

  #strike(fault: Fault): void {
    const lost = this.#fleet.engine(fault.worker).strike(fault);
    this.#dispatch.lose(fault.worker, lost);
    if (fault.kind === "restart") for (const gateway of this.#gateways) gateway.restarted(fault.worker);
  }
}

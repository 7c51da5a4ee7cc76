import type { EngineRequest } from "./engine-sequence.ts";
import { type SentRequest, SimEngine } from "./engine.ts";
import type { WorkerSpec } from "./loads/load.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** A request that a gateway has sent, of which the others do not know yet. */
interface OwnRequest extends SentRequest {
  readonly gateway: string;
}

/**
 * An engine as it was some time ago, to the last block of its cache: a twin that gets late whatever the engine gets. With what a gateway
 * has sent itself since then, that is the most that it can know where it hears of everything else late.
 */
export class LateEngine {
  readonly #twin: SimEngine;
  readonly #time: VirtualTime;
  readonly #lateMs: number;
  /** What the twin has yet to get, in order. */
  #underWay: readonly OwnRequest[] = [];

  constructor({ engine: model, kvTokens, slowness }: WorkerSpec, time: VirtualTime, lateMs: number) {
    this.#twin = new SimEngine(
      { model, kvTokens, slowness },
      { onFirstToken: () => undefined, onDone: () => undefined },
    );
    this.#time = time;
    this.#lateMs = lateMs;
  }

  /** The engine gets a request now. */
  submit(gateway: string, request: EngineRequest): void {
    const sent = { gateway, request, at: this.#time.now() };
    this.#underWay = [...this.#underWay, sent];
    this.later((twin, at) => {
      this.#underWay = this.#underWay.filter((one) => one !== sent);
      twin.submit(at, request, 0);
    });
  }

  /** Something happens to the engine now, and late to its twin. `at`: the time now, ms. */
  later(act: (twin: SimEngine, at: number) => void): void {
    const at = this.#time.now();
    this.#time.after(this.#lateMs, () => {
      this.#twin.advanceTo(at);
      act(this.#twin, at);
    });
  }

  /** When a request would get its first token here, as far as this gateway can know, ms from now. */
  predictTtftMs(gateway: string, request: EngineRequest, limitMs: number): number {
    const now = this.#time.now();
    this.#twin.advanceTo(now - this.#lateMs);
    const own = this.#underWay.filter((one) => one.gateway === gateway);
    return this.#twin.predictTtftMs(now, request, limitMs, own);
  }
}

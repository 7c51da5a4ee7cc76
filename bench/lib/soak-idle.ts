import { TEST_PAIRS } from "../../test/support/tls.ts";
import type { Lane } from "./lane.ts";
import { openLanes } from "./load.ts";
import type { TlsFiles } from "./tls-files.ts";

/** Less than the time after which the gateway closes idle connections, ms. */
const TURN_MS = 60_000;
const RENEW_MS = 20_000;
const HEALTH: Buffer = Buffer.from("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");

/** Clients that stay connected and ask next to nothing. */
export class IdleClients {
  readonly #lanes: readonly Lane[];
  #isOver = false;

  private constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes;
  }

  static async open(origin: string, count: number): Promise<IdleClients> {
    return new IdleClients(count === 0 ? [] : await openLanes(origin, count));
  }

  /** Each asks once a minute, so that its connection is not closed for being idle. Resolves after `close`. */
  async askInTurn(): Promise<void> {
    const from = performance.now();
    for (let index = 0; this.#lanes.length > 0 && !this.#isOver; index += 1) {
      const wait = from + (index * TURN_MS) / this.#lanes.length - performance.now();
      if (wait > 0) await Bun.sleep(wait);
      const lane = this.#lanes[index % this.#lanes.length];
      if (!this.#isOver) void lane?.ask(HEALTH);
    }
  }

  /** Returns how many connections were lost before. */
  close(): number {
    this.#isOver = true;
    const lost = this.#lanes.filter(({ broken }) => broken !== undefined).length;
    for (const lane of this.#lanes) lane.close();
    return lost;
  }
}

/** Puts one certificate in the place of the other again and again, until it is disposed. */
export function renewInTurn(files: TlsFiles): Disposable & { readonly count: number } {
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    files.put(count % 2 === 0 ? TEST_PAIRS.first : TEST_PAIRS.second);
  }, RENEW_MS);
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

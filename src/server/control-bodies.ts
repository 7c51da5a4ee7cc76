import type { ClientRequest } from "../transport/downstream.ts";
import { readBody } from "./body.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { Route } from "./route.ts";

/** What all bodies of requests that are not inference hold together on one thread, bytes. What operators send is small. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** For such a body to arrive, ms. */
const BODY_TIMEOUT_MS = 10_000;

/** Bytes that are counted until they are disposed of. */
export interface ReadBody extends Disposable {
  readonly bytes: Uint8Array | undefined;
}

const NO_BODY: ReadBody = { bytes: undefined, [Symbol.dispose]: () => undefined };

/** Reads the bodies of requests that are not inference, on whichever thread they came in: all of them share one budget. */
export class ControlBodies {
  readonly #budget = new ByteBudget(MAX_HELD_BYTES);

  /** Bytes that are held. */
  get held(): number {
    return this.#budget.held;
  }

  /**
   * The body, where the route reads one and the request has one. Called when it is known that the client may ask. Throws what
   * `readBody` throws.
   */
  async read({ maxBodyBytes }: Pick<Route, "maxBodyBytes">, request: ClientRequest): Promise<ReadBody> {
    if (maxBodyBytes === undefined || !request.hasBody) return NO_BODY;
    const held = { bytes: 0 };
    const giveBack = (): void => this.#budget.giveBack(held.bytes);
    const bounds = {
      maxBytes: maxBodyBytes,
      timeoutMs: BODY_TIMEOUT_MS,
      stallMs: BODY_TIMEOUT_MS,
      budget: this.#budget,
    };
    try {
      return { bytes: await readBody(request, bounds, held), [Symbol.dispose]: giveBack };
    } catch (error) {
      giveBack();
      throw error;
    }
  }
}

import { clientClosed, type GatewayError } from "../../errors/errors.ts";
import type { TokenCounts } from "../../observability/request-record.ts";
import type { Attempt } from "../attempt.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";

/** Prefill's answer: its body, where it is needed. */
export type PrefillAnswer = Promise<Uint8Array | undefined>;

/**
 * Links the two legs of one try: until decode has sent its first event, the failure of either leg ends both.
 *
 * ```
 *   both running -- prefill fails ----------> decode's connection is closed; the error is prefill's
 *         |     \--- decode fails -----------> prefill's connection is closed; the error is decode's
 *         |      \-- silence ----------------> both are closed and neither is blamed: each may have waited for the other
 *         v
 *   decode sends -- prefill fails ----------> its breaker hears of it, the stream goes on: the KV cache has moved
 * ```
 */
export class PdExchange {
  readonly prefill: Attempt;
  readonly decode: Attempt;
  readonly #prefillControl = new AbortController();
  readonly #decodeControl = new AbortController();
  readonly #client: LeaveSignal;
  readonly #onClientLeft: () => void;
  #isBound = true;
  #isDecodeAsked = false;
  #isPrefillOver = false;
  #isDecodeOver = false;

  constructor(prefill: Attempt, decode: Attempt, client: LeaveSignal) {
    this.prefill = prefill;
    this.decode = decode;
    this.#client = client;
    this.#onClientLeft = () => this.close(client.reason);
    if (client.aborted) this.close(client.reason);
    else client.addEventListener("abort", this.#onClientLeft, { once: true });
  }

  get prefillSignal(): LeaveSignal {
    return this.#prefillControl.signal;
  }

  get decodeSignal(): LeaveSignal {
    return this.#decodeControl.signal;
  }

  /** Prefill's answer is complete, with these counts. */
  prefillDone(tokens: TokenCounts | undefined): void {
    this.prefill.prefillDone();
    this.prefill.end(undefined, tokens);
    this.#prefillEnded();
  }

  prefillFailed(error: GatewayError): void {
    this.#prefillEnded();
    if (this.#client.aborted || this.#prefillControl.signal.aborted) {
      this.prefill.abandon();
      return;
    }
    if (this.#isBound && this.#isDecodeAsked && isSilence(error)) this.#endUnsure(error);
    this.prefill.end(error);
    if (!this.#isBound) return;
    this.decode.abandon();
    this.#decodeControl.abort(error);
  }

  /** Decode has been asked. From now on the two may wait for each other. */
  decodeAsked(): void {
    this.#isDecodeAsked = true;
  }

  /** The error of decode: prefill's, if that ended both legs; otherwise its own. */
  decodeFailed(error: GatewayError): GatewayError {
    if (!this.#isBound) return error;
    if (this.prefill.failure) return this.prefill.failure;
    if (!this.#isPrefillOver && isSilence(error)) this.#endUnsure(error);
    return error;
  }

  /** Ends both legs without blame, because each may have waited for the other. */
  #endUnsure(error: GatewayError): void {
    this.prefill.endUnsure(error);
    this.decode.endUnsure(error);
  }

  /** Decode has sent its first event. From now on each leg ends alone. */
  decodeBegan(): void {
    this.#isBound = false;
  }

  /** Ends both legs, as far as they still run. */
  close(reason: unknown = clientClosed()): void {
    this.#client.removeEventListener("abort", this.#onClientLeft);
    this.prefill.abandon();
    this.#prefillControl.abort(reason);
    this.#decodeControl.abort(reason);
  }

  /** Decode's answer has been read. Prefill may still end normally. */
  decodeDone(): void {
    this.#isDecodeOver = true;
    if (this.#isPrefillOver) this.#client.removeEventListener("abort", this.#onClientLeft);
  }

  #prefillEnded(): void {
    this.#isPrefillOver = true;
    if (this.#isDecodeOver) this.#client.removeEventListener("abort", this.#onClientLeft);
  }
}

/** Whether the error is a time-out without any byte. */
function isSilence({ code }: GatewayError): boolean {
  return code === "upstream_timeout" || code === "upstream_stalled";
}

import { asGatewayError } from "../../errors/errors.ts";
import { ResponseStage, type WorkerResponse } from "../response-stage.ts";
import type { PdExchange } from "./pd-exchange.ts";

/** Decode's answer on its way to the client, while prefill may still fail. */
export class PdResponse extends ResponseStage {
  readonly #exchange: PdExchange;

  constructor(exchange: PdExchange, decode: WorkerResponse) {
    super(decode);
    this.#exchange = exchange;
  }

  override read(): ReturnType<WorkerResponse["read"]> {
    const next = this.inner.read();
    return next instanceof Promise ? this.#whenRead(next) : this.#took(next);
  }

  override begun(): void {
    this.#exchange.decodeBegan();
  }

  override async bytes(maxBytes: number): Promise<Uint8Array> {
    try {
      const body = await this.inner.bytes(maxBytes);
      this.#exchange.decodeBegan();
      this.#took(undefined);
      return body;
    } catch (error) {
      throw this.#exchange.decodeFailed(asGatewayError(error));
    }
  }

  override discard(): void {
    this.inner.discard();
    this.#exchange.close();
  }

  async #whenRead(next: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    try {
      return this.#took(await next);
    } catch (error) {
      throw this.#exchange.decodeFailed(asGatewayError(error));
    }
  }

  #took(piece: Uint8Array | undefined): Uint8Array | undefined {
    if (piece === undefined) this.#exchange.decodeDone();
    return piece;
  }
}

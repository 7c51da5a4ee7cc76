import { type ClientRequest, RequestHeaders } from "./downstream.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

/** A request as data: as one thread tells another of it. */
export interface RequestData extends Pick<ClientRequest, "method" | "path" | "query" | "peerAddress"> {
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The whole of it, decoded, where there is one. */
  readonly body: Uint8Array | undefined;
}

/** A request that was read elsewhere. */
export class ForwardedRequest implements ClientRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: RequestHeaders;
  readonly peerAddress: string;
  readonly signal: LeaveSignal;
  readonly hasBody: boolean;
  readonly isWhole = true;
  #body: Uint8Array | undefined;

  constructor(told: RequestData, signal: LeaveSignal) {
    this.method = told.method;
    this.path = told.path;
    this.query = told.query;
    const fields = new Map(told.headers);
    // They are of the body as it came; what is told of it is what was read.
    fields.delete("content-encoding");
    fields.delete("content-length");
    this.headers = new RequestHeaders(fields);
    this.peerAddress = told.peerAddress;
    this.hasBody = told.body !== undefined;
    this.#body = told.body;
    this.signal = signal;
  }

  read(): Uint8Array | undefined {
    const body = this.#body;
    this.#body = undefined;
    return body;
  }

  /** Who has read it counts. */
  hold(): void {}

  letGo(): void {}
}

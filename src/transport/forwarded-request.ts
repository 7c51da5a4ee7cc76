import { type ClientRequest, RequestHeaders } from "./downstream.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

/** A request as data, which one thread sends to another. */
export interface RequestData extends Pick<ClientRequest, "method" | "path" | "query" | "peerAddress"> {
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The whole body, decoded; undefined without one. */
  readonly body: Uint8Array | undefined;
}

/** A request that another thread has read. */
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

  constructor(data: RequestData, signal: LeaveSignal) {
    this.method = data.method;
    this.path = data.path;
    this.query = data.query;
    const fields = new Map(data.headers);
    // They describe the body on the wire. This body is decoded.
    fields.delete("content-encoding");
    fields.delete("content-length");
    this.headers = new RequestHeaders(fields);
    this.peerAddress = data.peerAddress;
    this.hasBody = data.body !== undefined;
    this.#body = data.body;
    this.signal = signal;
  }

  read(): Uint8Array | undefined {
    const body = this.#body;
    this.#body = undefined;
    return body;
  }

  /** The thread that read the request counts its bytes. */
  hold(): void {}

  letGo(): void {}
}

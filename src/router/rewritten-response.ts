import type { UpstreamResponse } from "../transport/upstream.ts";
import { dataOf, EventResponse, eventsIn } from "./event-response.ts";

/** Another form of one answer, or of the data of one event; the same bytes where nothing changes. */
export type Rewrite = (json: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** Only what has this text in it is looked at. */
export interface RewriteRule {
  readonly marker: string;
  readonly rewrite: Rewrite;
}

/** A worker's answer of which some events are changed on their way, each whole, wherever its bytes were cut. */
export class RewrittenResponse extends EventResponse {
  readonly #rule: RewriteRule;

  constructor(inner: UpstreamResponse, rule: RewriteRule) {
    super(inner);
    this.#rule = rule;
  }

  protected override changeEvents(events: Buffer): Uint8Array | Promise<Uint8Array> {
    return events.includes(this.#rule.marker) ? this.#rewriteEach(events) : events;
  }

  protected override changeWhole(body: Buffer): Uint8Array | Promise<Uint8Array> {
    return body.includes(this.#rule.marker) ? this.#rule.rewrite(body) : body;
  }

  async #rewriteEach(events: Buffer): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (const { start, end } of eventsIn(events)) {
      const event = events.subarray(start, end);
      const data = event.includes(this.#rule.marker) ? dataOf(event) : undefined;
      if (!data) pieces.push(event);
      else {
        const json = await this.#rule.rewrite(event.subarray(data.start, data.end));
        pieces.push(event.subarray(0, data.start), json, event.subarray(data.end));
      }
    }
    return Buffer.concat(pieces);
  }
}

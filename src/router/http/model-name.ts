import { memberAt, splice } from "../../protocol/json/splice.ts";
import { QUOTE } from "../../util/ascii.ts";
import type { AnswerChange, ChangedEvent } from "../answer-change.ts";

/** Where an answer has the name of its model: on its own, in an event of Responses, in an event of Messages. */
const PLACES: readonly (readonly string[])[] = [["model"], ["response", "model"], ["message", "model"]];
const NOTHING: readonly string[] = [];

/** Puts the name that the client asked for in the place of the model's own. */
export class ModelName implements AnswerChange {
  readonly marker = '"model"';
  /** An event that passes unread is like one that was read after its change, so it has the client's name, or none. */
  readonly readsText = false;
  readonly #json: string;
  /** The last changed event up to the end of the name, before the change and after it. Most events of a stream begin alike. */
  #before = "";
  #after = "";

  constructor(name: string) {
    this.#json = JSON.stringify(name);
  }

  event(data: string): ChangedEvent | undefined {
    const before = this.#before;
    if (before !== "" && data.startsWith(before)) return changed(this.#after + data.slice(before.length));
    const json = Buffer.from(data);
    const name = nameIn(json);
    if (!name) return undefined;
    const start = name.byteOffset - json.byteOffset;
    const end = start + name.byteLength;
    this.#before = json.toString("utf8", 0, end);
    this.#after = json.toString("utf8", 0, start) + this.#json;
    return changed(this.#after + json.toString("utf8", end));
  }

  whole(body: Buffer): Uint8Array {
    for (const place of PLACES) {
      const renamed = splice(body, place, (raw) => (raw && isText(raw) ? this.#json : undefined));
      if (renamed !== body) return renamed;
    }
    return body;
  }
}

function changed(data: string): ChangedEvent {
  return { before: NOTHING, data, value: undefined };
}

/** The bytes of the name in an event; undefined where it has none. */
function nameIn(json: Uint8Array): Uint8Array | undefined {
  for (const place of PLACES) {
    const raw = memberAt(json, place);
    if (raw && isText(raw)) return raw;
  }
  return undefined;
}

function isText(raw: Uint8Array): boolean {
  return raw[0] === QUOTE;
}

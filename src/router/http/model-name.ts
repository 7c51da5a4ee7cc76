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
    const near = body.length > SCANNED_WHOLE_BYTES ? nameNearEdge(body) : undefined;
    if (near) {
      return Buffer.concat([body.subarray(0, near.start), Buffer.from(this.#json), body.subarray(near.end)]);
    }
    for (const place of PLACES) {
      const renamed = splice(body, place, (raw) => (raw && isText(raw) ? this.#json : undefined));
      if (renamed !== body) return renamed;
    }
    return body;
  }
}

/** Largest answer that is scanned from end to end in any case, bytes. Embeddings may be thousands of times larger. */
const SCANNED_WHOLE_BYTES = 64 * 1024;
/** How far from either end of a larger answer its name is looked for, bytes: engines write it before the long members or after them. */
const EDGE_BYTES = 4096;
const MEMBER = /^"model"\s*:\s*("(?:[^"\\]|\\.)*")/;

/** Where the text of the answer's own name stands, if it is near the beginning or the end. `body` must be a JSON object. */
function nameNearEdge(body: Buffer): { readonly start: number; readonly end: number } | undefined {
  const head = body.toString("latin1", 0, EDGE_BYTES);
  const first = head.indexOf('"model"');
  if (first >= 0 && depthOf(head.slice(0, first)) === 1) return spanAt(head, first, 0);
  const from = body.length - EDGE_BYTES;
  const tail = body.toString("latin1", from).trimEnd();
  const last = tail.lastIndexOf('"model"');
  // All that is open at the name is the answer itself.
  return last >= 0 && depthOf(tail.slice(last)) === -1 ? spanAt(tail, last, from) : undefined;
}

function spanAt(
  text: string,
  at: number,
  offset: number,
): { readonly start: number; readonly end: number } | undefined {
  const found = MEMBER.exec(text.slice(at));
  const [whole = "", name = ""] = found ?? [];
  if (!found) return undefined;
  const end = offset + at + whole.length;
  return { start: end - name.length, end };
}

/** Brackets that are opened in JSON text beyond those that are closed; NaN where the text ends within a string. */
function depthOf(json: string): number {
  let depth = 0;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at];
    if (char === "{" || char === "[") depth += 1;
    else if (char === "}" || char === "]") depth -= 1;
    else if (char === '"') {
      at += 1;
      while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
      if (at >= json.length) return Number.NaN;
    }
  }
  return depth;
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

import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import type { UpstreamResponse } from "../../transport/upstream.ts";
import { EventResponse, eventsIn } from "../event-response.ts";
import { parsedAnswer } from "./parsed-answer.ts";
import { ParsedStream } from "./parsed-stream.ts";

/** An engine's chat answer with calls and reasoning told apart from its text. */
export async function parsed(
  upstream: Promise<UpstreamResponse>,
  parser: OutputParserOptions,
): Promise<UpstreamResponse> {
  return new ParsedResponse(await upstream, parser);
}

/**
 * Whoever reads it sees the answer as if the engine had parsed it. What the parser holds back when the worker is lost is
 * not shown, so that another worker that goes on with the shown text writes it again.
 */
export class ParsedResponse extends EventResponse {
  readonly #options: OutputParserOptions;
  readonly #stream: ParsedStream;

  constructor(inner: UpstreamResponse, options: OutputParserOptions) {
    super(inner);
    this.#options = options;
    this.#stream = new ParsedStream(options);
  }

  protected override changeEvents(events: Buffer): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (const { start, end } of eventsIn(events)) pieces.push(...this.#stream.take(events.subarray(start, end)));
    return Buffer.concat(pieces);
  }

  protected override changeWhole(body: Buffer): Uint8Array {
    return parsedAnswer(body, this.#options);
  }
}

import fc from "fast-check";
import type { Dialect } from "../../src/protocol/dialect.ts";
import type {
  AnswerHead,
  AnswerPart,
  ApiRequest,
  OutputPiece,
  TextLogprob,
  TokenCount,
} from "../../src/protocol/generation.ts";
import { JsonBody, readJsonBody } from "../../src/protocol/json/json-body.ts";
import { GatewayError } from "../../src/errors/errors.ts";

/** What the readers and writers of the APIs are tried with: bodies, parts of answers, and streams read back. */

export const HEAD: AnswerHead = { requestId: "r1", model: "m", created: 1_700_000_000, now: () => 1_700_000_005 };

export function bodyOf(value: object): JsonBody {
  const body = readJsonBody(Buffer.from(JSON.stringify(value)));
  if (!(body instanceof JsonBody)) throw new Error("a body this large is read in steps");
  return body;
}

/** `code param` of the error that reading throws; "ok" where it throws none. */
export function refusal(read: (body: JsonBody) => unknown, body: object): string {
  try {
    read(bodyOf(body));
  } catch (error) {
    if (error instanceof GatewayError) return `${error.code} ${error.details.param}`;
    throw error;
  }
  return "ok";
}

export function count(completionTokens: number, more: Partial<TokenCount> = {}): TokenCount {
  return { promptTokens: 7, completionTokens, cachedTokens: undefined, reasoningTokens: undefined, ...more };
}

export function part(pieces: readonly OutputPiece[], more: Partial<AnswerPart> = {}): AnswerPart {
  const nothing = { logprobs: undefined, promptLogprobs: undefined, finish: undefined };
  return { index: 0, pieces, ids: [], counts: count(pieces.length), ...nothing, ...more };
}

export function said(text: string, more: Partial<AnswerPart> = {}): AnswerPart {
  return part([{ kind: "content", text }], more);
}

export const STOP = { reason: "stop", matched: undefined } as const;

export function logprob(
  token: string,
  id: number,
  value: number | undefined,
  top: [string, number][] = [],
): TextLogprob {
  const bytesOf = (text: string): number[] => [...Buffer.from(text)];
  return {
    token,
    bytes: bytesOf(token),
    id,
    logprob: value,
    top: top.map(([other, lower], index) => ({
      token: other,
      bytes: bytesOf(other),
      id: id + 100 + index,
      logprob: lower,
    })),
  };
}

export interface Event {
  readonly name: string | undefined;
  readonly data: string;
}

export function eventsOf(stream: string): Event[] {
  return stream
    .split("\n\n")
    .filter((block) => block !== "")
    .map((block) => {
      const lines = block.split("\n");
      const field = (name: string): string | undefined =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      return { name: field("event"), data: field("data") ?? "" };
    });
}

/** All that a client gets of a stream. */
export function streamOf(request: ApiRequest, parts: readonly AnswerPart[], head = HEAD): string {
  const writer = request.createWriter(head);
  return parts.map((one) => writer.part(one)).join("") + writer.end();
}

export function wholeOf(request: ApiRequest, parts: readonly AnswerPart[], head = HEAD): unknown {
  const writer = request.createWriter(head);
  for (const one of parts) if (writer.part(one) !== "") throw new Error("a whole answer has no events");
  return JSON.parse(writer.whole());
}

/** The data of all events but the end marker. `T` is what the test expects it to look like. */
export function dataOf<T>(stream: string): T[] {
  return eventsOf(stream)
    .filter(({ data }) => data !== "[DONE]")
    .map(({ data }) => JSON.parse(data) as T);
}

/** Follows a stream as the gateway follows those of workers: whether it ended, and what it used. */
export function follow(dialect: Dialect, stream: string, body: object = {}): { kinds: string[]; usage: unknown } {
  const reader = dialect.createStreamReader(bodyOf(body));
  const kinds = eventsOf(stream).map(({ name, data }) => reader.onEvent(name, data).kind);
  return { kinds, usage: reader.usage };
}

/** The stream as SDKs take it from a file: one JSON a line. */
export function lines(stream: string): ReadableStream {
  return new Blob(dataOf(stream).map((data) => `${JSON.stringify(data)}\n`)).stream();
}

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
const call = fc.record({
  name: fc.constantFrom("add", "look_up"),
  value: fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
});

export type Said =
  | { readonly kind: "content" | "reasoning"; readonly text: string }
  | { readonly kind: "call"; readonly name: string; readonly text: string };

/** What a model may say, in blocks that differ from their neighbours in kind unless they are calls. */
export const sayings: fc.Arbitrary<Said[]> = fc
  .array(
    fc.oneof(
      fc.record({ kind: fc.constantFrom("content" as const, "reasoning" as const), text }),
      call.map(({ name, value }) => ({ kind: "call" as const, name, text: JSON.stringify(value) })),
    ),
    { maxLength: 5 },
  )
  .map((blocks) => blocks.filter(({ kind }, at) => kind === "call" || kind !== blocks[at - 1]?.kind));

/** Cuts what is said into pieces and parts; `cuts` says where, anything goes. Surrogates may be torn. */
export function cut(blocks: readonly Said[], cuts: readonly number[], index = 0): AnswerPart[] {
  let at = 0;
  const next = (): number => cuts[at++ % Math.max(1, cuts.length)] ?? 3;
  const pieces: OutputPiece[] = [];
  let calls = -1;
  for (const block of blocks) {
    if (block.kind === "call") {
      calls += 1;
      pieces.push({ kind: "tool_call", index: calls, id: `call_${index}_${calls}`, name: block.name });
    }
    for (let from = 0; from < block.text.length;) {
      const to = from + 1 + (next() % 5);
      const slice = block.text.slice(from, to);
      pieces.push(
        block.kind === "call"
          ? { kind: "tool_arguments", index: calls, text: slice }
          : { kind: block.kind, text: slice },
      );
      from = to;
    }
  }
  const parts: AnswerPart[] = [];
  for (let from = 0; from < pieces.length;) {
    const to = from + (next() % 4);
    parts.push(part(pieces.slice(from, to), { index, counts: count(parts.length + 1) }));
    from = to;
    // One cut in MAX_CUTS moves on by at least one piece.
    if (parts.length > (pieces.length + 1) * MAX_CUTS) throw new Error("the cuts go nowhere");
  }
  return [...parts, part([], { index, counts: count(parts.length + 1), finish: STOP })];
}

const MAX_CUTS = 21;

/** Not all zero, so that cutting comes to an end. */
export const cutting = fc.array(fc.nat(20), { minLength: 1, maxLength: MAX_CUTS - 1 }).map((cuts) => [...cuts, 1]);

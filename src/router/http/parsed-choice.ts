import { createOutputParser, type OutputParserOptions } from "../../parser/create-output-parser.ts";
import type { OutputParser } from "../../parser/output-parser.ts";
import type { OutputPiece } from "../../protocol/generation.ts";
import { isFinishReason } from "../../protocol/finish-reason.ts";
import { type JsonObject, objectField, stringField } from "../../protocol/json/json.ts";
import { deltaOf } from "../../protocol/openai/chat-writer.ts";

/** The result of parsing for one choice of an event. */
export interface ChoiceChange {
  /** Deltas to insert before it, each as a separate event. */
  readonly before: readonly JsonObject[];
  /** undefined: the delta stays. */
  readonly delta: JsonObject | undefined;
  readonly finishReason: string | undefined;
  /** Whether nothing of the delta is left: it is held back, or was written before. */
  readonly isIdle: boolean;
}

const NOTHING: readonly JsonObject[] = [];
/** The choice stays unchanged. */
export const UNCHANGED: ChoiceChange = { before: NOTHING, delta: undefined, finishReason: undefined, isIdle: false };

/** Members of a delta or message in which engines put calls and reasoning that they parsed themselves. */
const PARSED_MEMBERS = ["tool_calls", "function_call", "reasoning_content", "reasoning"] as const;

/** Whether the engine's own parsers have found something. */
export function isParsed(delta: JsonObject): boolean {
  return PARSED_MEMBERS.some((name) => {
    const value = delta[name];
    return value !== undefined && value !== null && value !== "" && !(Array.isArray(value) && value.length === 0);
  });
}

/** The finish reason: `tool_calls` where the gateway found calls and the engine, which knows none, said `stop`. */
export function finishReasonOf(choice: JsonObject, hasCalls: boolean): string | undefined {
  return hasCalls && choice["finish_reason"] === "stop" ? "tool_calls" : undefined;
}

/**
 * Parses the text of one answer of a stream:
 *
 * ```
 *   reading -- finish_reason ----------------------------> over: held text comes before the event
 *      |
 *      +-- the engine has parsed calls or reasoning -----> over: held text comes first, then everything passes unchanged
 * ```
 */
export class ParsedChoice {
  readonly #parser: OutputParser;
  #isOver = false;
  #hasCalls = false;

  constructor(options: OutputParserOptions) {
    this.#parser = createOutputParser(options);
  }

  take(choice: JsonObject): ChoiceChange {
    if (this.#isOver) return UNCHANGED;
    const delta = objectField(choice, "delta") ?? {};
    if (isParsed(delta)) return { ...UNCHANGED, before: this.end() };
    const text = stringField(delta, "content") ?? "";
    const pieces = text === "" ? [] : this.#pieces(this.#parser.push(text));
    if (isFinishReason(choice["finish_reason"])) return this.#last(choice, delta, pieces);
    return text === "" || isSame(pieces, text) ? UNCHANGED : instead(choice, delta, pieces);
  }

  /** Deltas for text that was held back. */
  end(): readonly JsonObject[] {
    if (this.#isOver) return NOTHING;
    this.#isOver = true;
    return this.#pieces(this.#parser.end()).map(deltaOf);
  }

  /** The change of the last event. It keeps its text only if that is all content. */
  #last(choice: JsonObject, delta: JsonObject, pieces: readonly OutputPiece[]): ChoiceChange {
    const held = this.end();
    const finishReason = finishReasonOf(choice, this.#hasCalls);
    const { content = "", ...others } = delta;
    if (content === "" || content === null) return { ...UNCHANGED, before: held, finishReason };
    if (held.length === 0 && isSame(pieces, content)) return { ...UNCHANGED, finishReason };
    return { ...inOrder([...pieces.map(deltaOf), ...held], others), finishReason, isIdle: false };
  }

  #pieces(pieces: OutputPiece[]): OutputPiece[] {
    this.#hasCalls ||= pieces.some(({ kind }) => kind === "tool_call");
    return pieces;
  }
}

/** The last piece replaces the event's text; all other members stay. */
function instead(choice: JsonObject, delta: JsonObject, pieces: readonly OutputPiece[]): ChoiceChange {
  const { content: _content, ...others } = delta;
  const deltas = pieces.map(deltaOf);
  const last = deltas.pop();
  if (last) {
    const { before, delta: rest } = inOrder(deltas, others);
    return { ...UNCHANGED, before, delta: { ...rest, ...last } };
  }
  const isIdle = isEmpty(others) && isEmpty(choice, CHOICE_MEMBERS);
  return { ...UNCHANGED, delta: { ...others, content: "" }, isIdle };
}

/** Puts the role into the first delta. */
function inOrder(
  before: readonly JsonObject[],
  delta: JsonObject,
): { readonly before: readonly JsonObject[]; readonly delta: JsonObject } {
  const [first, ...more] = before;
  const { role, ...rest } = delta;
  if (first === undefined || role === undefined) return { before, delta };
  return { before: [{ role, ...first }, ...more], delta: rest };
}

const CHOICE_MEMBERS: readonly string[] = ["index", "delta"];

/** Whether all members except these are null. */
export function isEmpty(object: JsonObject, but: readonly string[] = []): boolean {
  return Object.entries(object).every(([name, value]) => value === null || but.includes(name));
}

function isSame(pieces: readonly OutputPiece[], text: unknown): boolean {
  const [first] = pieces;
  return pieces.length === 1 && first?.kind === "content" && first.text === text;
}

import { isJsonObject, type JsonObject, numberField, stringField } from "./json/json.ts";

/** An error that an engine tells within a stream, or in the place of a whole answer. */
export interface EngineFailure {
  readonly message: string;
  /** HTTP status that the engine names, as a number or in the words of an API; undefined where it names none. */
  readonly status: number | undefined;
  /** The field of the request that is wrong; undefined where the engine names none. */
  readonly param: string | undefined;
  /** The engine's own code, as a word; undefined where it has none. */
  readonly code: string | undefined;
}

/** Statuses of the words that OpenAI's and Anthropic's APIs, and their SDKs, have for an error's `code` or `type`. */
const STATUSES: ReadonlyMap<string, number> = new Map([
  ["invalid_request_error", 400],
  ["context_length_exceeded", 400],
  ["invalid_prompt", 400],
  ["authentication_error", 401],
  ["invalid_api_key", 401],
  ["permission_error", 403],
  ["not_found_error", 404],
  ["model_not_found", 404],
  ["request_too_large", 413],
  ["rate_limit_error", 429],
  ["rate_limit_exceeded", 429],
  ["overloaded_error", 529],
  ["server_overloaded", 529],
  ["server_is_overloaded", 529],
  ["slow_down", 529],
]);

/** Members that only answers have. An answer of Responses with the status `failed` has an error as well, and is one all the same. */
const ANSWERS = ["choices", "content", "output", "data", "text", "results"] as const;

/**
 * The error that stands in the place of a whole answer, though its status is one of success: some proxies and older engines answer so.
 * undefined for an answer.
 */
export function failureOfAnswer(answer: unknown): EngineFailure | undefined {
  // Nearly every answer has neither.
  if (!isJsonObject(answer) || (answer["error"] === undefined && answer["object"] !== "error")) return undefined;
  return ANSWERS.some((member) => answer[member] !== undefined) ? undefined : engineFailure(answer);
}

/**
 * The error that an event tells of; undefined where it tells of none. OpenAI writes `{error: {message, code}}`, SGLang
 * `{error: "text"}` and older vLLM `{object: "error", message, code}`; an event named `error` is an error whatever it says.
 */
export function engineFailure(event: JsonObject, name?: string): EngineFailure | undefined {
  const error = errorIn(event) ?? (name === "error" ? event : undefined);
  if (!error) return undefined;
  return {
    message: stringField(error, "message") ?? stringField(event, "error") ?? "the engine failed within the stream",
    status: statusOf(error, event),
    param: stringField(error, "param"),
    code: wordIn(error),
  };
}

/** The error's code, if it is a word and no number as text. */
function wordIn(error: JsonObject): string | undefined {
  const code = stringField(error, "code");
  return code === undefined || code === "" || Number.isFinite(Number(code)) ? undefined : code;
}

/** The status of an error. A number counts before words, and the more exact `code` before `type`. */
function statusOf(error: JsonObject, event: JsonObject): number | undefined {
  const word = stringField(error, "code") ?? "";
  const number = numberField(error, "code") ?? numberField(event, "status_code") ?? Number(word);
  if (number >= 400 && number < 600) return number;
  return STATUSES.get(word) ?? STATUSES.get(stringField(error, "type") ?? "");
}

/** The error in an event. An empty `error` beside other members counts for nothing, as some engines write one into every event. */
function errorIn(event: JsonObject): JsonObject | undefined {
  const { error } = event;
  if (event["object"] === "error") return isJsonObject(error) ? error : event;
  if (typeof error === "string") return error !== "" || isAlone(event) ? event : undefined;
  if (!isJsonObject(error)) return undefined;
  return isAlone(event) || Object.values(error).some((value) => value !== null && value !== "") ? error : undefined;
}

function isAlone(event: JsonObject): boolean {
  return Object.keys(event).length === 1;
}

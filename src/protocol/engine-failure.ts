import { isJsonObject, type JsonObject, numberField, stringField } from "./json/json.ts";

/** An error that an engine tells within a stream, or in the place of a whole answer. */
export interface EngineFailure {
  readonly message: string;
  /** HTTP status that the engine names; undefined where it names none. */
  readonly status: number | undefined;
}

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

/** Statuses of errors that are told by their type alone, as Anthropic's API does. */
const STATUSES: ReadonlyMap<string, number> = new Map([
  ["invalid_request_error", 400],
  ["request_too_large", 413],
  ["rate_limit_error", 429],
  ["overloaded_error", 529],
]);

/**
 * The error that an event tells of; undefined where it tells of none. OpenAI writes `{error: {message, code}}`, SGLang
 * `{error: "text"}` and older vLLM `{object: "error", message, code}`; an event named `error` is an error whatever it says.
 */
export function engineFailure(event: JsonObject, name?: string): EngineFailure | undefined {
  const error = errorIn(event) ?? (name === "error" ? event : undefined);
  if (!error) return undefined;
  const code =
    numberField(error, "code") ?? numberField(event, "status_code") ?? STATUSES.get(stringField(error, "type") ?? "");
  return {
    message: stringField(error, "message") ?? stringField(event, "error") ?? "the engine failed within the stream",
    status: code !== undefined && code >= 400 && code < 600 ? code : undefined,
  };
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

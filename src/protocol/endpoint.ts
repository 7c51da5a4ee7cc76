import type { Dialect } from "./dialect.ts";
import type { ApiRequest } from "./generation.ts";
import type { JsonBody } from "./json/json-body.ts";
import type { MemberBounds } from "./member-bounds.ts";
import type { Continuation } from "./openai/continuation.ts";
import type { EmbeddingRequest } from "./openai/embeddings.ts";
import type { ChatForm } from "./chat-form.ts";
import type { PromptForm } from "./prompt.ts";
import type { TextModel } from "./text-model.ts";

/**
 * Everything the gateway knows about one inference route: a row of `endpoints.ts`. Code that serves a request asks its row, and never
 * compares the row's name. A row is made by `generate`, `embed`, `tokenize` or `parse`, which require the parts of that kind of route.
 */
export interface Endpoint<Name extends string = string> extends PromptForm {
  /** In metrics and logs. Paths may share one. */
  readonly name: Name;
  /** On the gateway and on the worker alike. */
  readonly path: string;
  /** How errors and streams are written on it. */
  readonly dialect: Dialect;
  /** The kind of work for a request. */
  readonly work: EndpointWork;
  /** The same in traces: OpenTelemetry's `gen_ai.operation.name`, where it has one for it. */
  readonly operation: string;
  /** `worker`: the gateway's tokenizer answers only where workers have no such route (gRPC). The others need no worker. */
  readonly answeredBy: "worker" | "tokenizer" | "parser";
  /** A body with `stream: true` is answered with an event stream. */
  readonly canStream: boolean;
  /** Members that are bounded before a worker gets the body. */
  readonly bounds: MemberBounds;
  /**
   * Reads the body for a token engine, with the prompt in the gateway's own form or in `form`; undefined where token engines do not
   * serve the route. Throws invalid_request, not_implemented.
   */
  readonly read: ((body: JsonBody, form?: ChatForm) => EngineJob) | undefined;
  /** Answers that the body asks for: its prompts, times the answers to each. */
  readonly sequences: (body: JsonBody) => number;
  /** Lets another worker go on with the body's stream; undefined where none can, for this body or for the whole route. */
  readonly continuation: ((body: JsonBody) => Continuation | undefined) | undefined;
  /**
   * Members, as JSON text, with which a prefill worker generates one token and says where its KV cache is (`kv_transfer_params`).
   * Undefined where engines do not take that member on this route.
   */
  readonly oneToken: ((body: JsonBody) => Map<string, string>) | undefined;
  /** SGLang's server takes `bootstrap_room` on this route, under which a prefill and a decode worker meet. */
  readonly takesRoom: boolean;
  /** A worker's answer has chat choices, out of whose text the gateway can parse tool calls and reasoning. */
  readonly canParseOutput: boolean;
  /**
   * The whole answer, as JSON text, by the gateway's tokenizer; undefined where it takes a worker. Rejects with invalid_request,
   * client_closed.
   */
  readonly answer: ((body: JsonBody, model: TextModel) => Promise<string>) | undefined;
  /** What the gateway's parsers find in the body's text; undefined where they do not answer. */
  readonly finds: "tool_calls" | "reasoning" | undefined;
}

/**
 * `generate`: an answer is decoded token by token. `embed`: a prompt is read once and answered with numbers. `tokenize`: text becomes
 * tokens, or tokens become text. `parse`: a text that the client brings is taken apart.
 */
type EndpointWork = "generate" | "embed" | "tokenize" | "parse";

/** A request to an engine that speaks tokens. */
export type EngineJob =
  | { readonly kind: "generate"; readonly api: ApiRequest }
  | { readonly kind: "embed"; readonly embedding: EmbeddingRequest };

const NO_BOUNDS: MemberBounds = new Map();

/** Defaults of a row. */
const PLAIN = {
  answeredBy: "worker",
  canStream: false,
  promptMembers: [],
  hasCacheMarks: false,
  bounds: NO_BOUNDS,
  read: undefined,
  sequences: () => 1,
  continuation: undefined,
  oneToken: undefined,
  takesRoom: false,
  canParseOutput: false,
  answer: undefined,
  finds: undefined,
} as const satisfies Partial<Endpoint>;

type Place<Name extends string> = Pick<Endpoint<Name>, "name" | "path" | "dialect">;

/** `read`: the API's own reader. */
interface GenerateRow<Name extends string>
  extends
    Place<Name>,
    Pick<Endpoint, "canStream" | "promptMembers" | "bounds" | "sequences" | "continuation">,
    Pick<Endpoint, "oneToken" | "takesRoom" | "canParseOutput">,
    Pick<Endpoint, "operation">,
    Partial<Pick<Endpoint, "hasCacheMarks">> {
  readonly read: (body: JsonBody, form?: ChatForm) => ApiRequest;
}

/** A route on which workers generate. */
export function generate<const Name extends string>(row: GenerateRow<Name>): Endpoint<Name> {
  const { read } = row;
  return { ...PLAIN, ...row, work: "generate", read: (body, form) => ({ kind: "generate", api: read(body, form) }) };
}

/** `read`: undefined where engines that speak tokens do not serve the route. */
interface EmbedRow<Name extends string> extends Place<Name>, Pick<Endpoint, "promptMembers"> {
  readonly read: ((body: JsonBody) => EmbeddingRequest) | undefined;
}

/** A route on which workers embed, classify or score. */
export function embed<const Name extends string>(row: EmbedRow<Name>): Endpoint<Name> {
  const { read } = row;
  return {
    ...PLAIN,
    ...row,
    work: "embed",
    operation: "embeddings",
    read: read && ((body) => ({ kind: "embed", embedding: read(body) })),
  };
}

interface TokenizeRow<Name extends string>
  extends Place<Name>, Pick<Endpoint, "promptMembers" | "bounds">, Partial<Pick<Endpoint, "hasCacheMarks">> {
  readonly answeredBy: "worker" | "tokenizer";
  readonly answer: NonNullable<Endpoint["answer"]>;
}

/** A route that a tokenizer answers, a worker's or the gateway's. */
export function tokenize<const Name extends string>(row: TokenizeRow<Name>): Endpoint<Name> {
  return { ...PLAIN, ...row, work: "tokenize", operation: "tokenize" };
}

interface ParseRow<Name extends string> extends Place<Name> {
  readonly finds: NonNullable<Endpoint["finds"]>;
}

/** A route that the gateway's parsers answer. */
export function parse<const Name extends string>(row: ParseRow<Name>): Endpoint<Name> {
  return { ...PLAIN, ...row, work: "parse", operation: "parse", answeredBy: "parser" };
}

import type { GatewayError } from "../errors/errors.ts";

/** What a dialect needs to write an error in the shape of its API. */
export interface ErrorFacts {
  readonly code: string;
  readonly message: string;
  readonly param: string | undefined;
  /** Facts for programs, for APIs that have a place for them. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly openaiType: string;
  readonly anthropicType: string;
  readonly requestId: string;
}

/** `requestId` is the id that the client sees in the head of the answer. */
export function errorFacts(error: GatewayError, requestId: string): ErrorFacts {
  const { row, details } = error;
  return {
    code: details.workerCode ?? error.code,
    message: error.message,
    param: details.param,
    details: details.facts,
    openaiType: row.openai,
    anthropicType: ANTHROPIC_TYPE_BY_STATUS.get(details.status ?? 0) ?? row.anthropic,
    requestId,
  };
}

/** Anthropic's types for statuses that a worker chose. Source: Anthropic API reference, errors. */
const ANTHROPIC_TYPE_BY_STATUS: ReadonlyMap<number, string> = new Map([
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
]);

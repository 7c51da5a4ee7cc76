import type { Complaint } from "../config/describe-issue.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { ParserChoice } from "../router/parser-choice.ts";
import type * as ParserNames from "../parser/parser-names.ts";
import type { ParsedOutputSettings } from "../router/http/parsed-request.ts";
import { lazy } from "../util/lazy.ts";

/** With the names come all parsers, so they are loaded where an option names one. */
const names = lazy((): typeof ParserNames => require("../parser/parser-names.ts"));

/** The parsers that the configuration names. Throws invalid_request where there is none with that name. */
export function parserNames(config: Config): Pick<ParsedOutputSettings, "toolCallParser" | "reasoningParser"> {
  return {
    toolCallParser: named(config.toolCallParser, "tool_call_parser", (name) => names().toolCallParserNamed(name)),
    reasoningParser: named(config.reasoningParser, "reasoning_parser", (name) => names().reasoningParserNamed(name)),
  };
}

/** Finds wrong names of parsers, before anything is made of them. */
export function parserComplaints({ toolCallParser, reasoningParser }: Config): Complaint[] {
  const complaints: Complaint[] = [];
  const refuse = (key: string, name: string): void =>
    void complaints.push({ path: [key], text: noParser(name), isSentence: true });
  if (isName(toolCallParser) && names().toolCallParserNamed(toolCallParser) === undefined)
    refuse("toolCallParser", toolCallParser);
  if (isName(reasoningParser) && names().reasoningParserNamed(reasoningParser) === undefined)
    refuse("reasoningParser", reasoningParser);
  return complaints;
}

function isName(given: string | undefined): given is string {
  return given !== undefined && given !== "none";
}

function named<T extends string>(
  given: string | undefined,
  option: string,
  find: (name: string) => T | undefined,
): ParserChoice<T> {
  if (given === undefined || given === "none") return given;
  const name = find(given);
  if (name !== undefined) return name;
  throw new GatewayError("invalid_request", `${option}: ${noParser(given)}`);
}

function noParser(name: string): string {
  return `there is no parser ${JSON.stringify(name)}; docs/parsers.md has them`;
}

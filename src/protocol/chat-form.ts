import type { ToolSpec } from "./generation.ts";
import type { JsonObject } from "./json/json.ts";
import { effort, type Kwargs, thinking } from "./template-kwargs.ts";

/**
 * What differs between servers in the prompts that they make of the same request. The gateway makes the prompts of workers that take
 * tokens, in a form of its own. Of a request to a server that makes the prompt itself it makes the same one in the server's form, to
 * know what of it the server's cache holds.
 */
export interface ChatForm {
  /** A tool as the chat template gets it. */
  readonly toolOf: (tool: ToolSpec) => object;
  /** The model is told of every declared tool, also where it may call none of them, or only some. */
  readonly tellsEveryTool: boolean;
  /** Variables for the template by the effort of reasoning that is asked for; undefined for none. */
  readonly effort: (level: unknown) => Kwargs;
  /** The same by `thinking.type` of Messages. */
  readonly thinking: (type: "enabled" | "disabled" | "adaptive") => Kwargs;
  /** What stands between the blocks of a system prompt of Messages; undefined where they are the parts of a message. */
  readonly systemSeparator: string | undefined;
  /** Messages: the results of tools come before the text of the same message. */
  readonly putsResultsFirst: boolean;
  /** Messages: where the last message is the assistant's, the answer goes on with it. */
  readonly continuesAnswer: boolean;
  readonly text: TextForm;
}

/** How the content of messages comes to a template. */
export interface TextForm {
  /** What stands between the parts of a content that the template takes as one string. */
  readonly separator: string;
  /** An assistant's message without content has none for a template that asks for that. Otherwise it has an empty text. */
  readonly keepsNone: boolean;
  /** A call of an earlier answer, with its arguments as the template takes them, in the order in which its members are printed. */
  readonly callOf: (call: JsonObject, called: JsonObject) => JsonObject;
  /** A part without text counts among them. */
  readonly keepsEmptyParts: boolean;
  /** A tool's result is one string, also where the template takes parts. */
  readonly joinsResults: boolean;
  /** Where a developer's message becomes a system's, all of these become one, before all others. */
  readonly gathersSystem: boolean;
  /** An assistant's message that is the last one, and is not to be continued, becomes the user's. */
  readonly givesLastAnswerToUser: boolean;
}

/** The gateway's own form. */
export const OWN_FORM: ChatForm = {
  toolOf: ({ name, description, parameters }) => ({
    type: "function",
    function: {
      name,
      ...(description === undefined ? {} : { description }),
      ...(parameters === undefined ? {} : { parameters }),
    },
  }),
  tellsEveryTool: false,
  effort,
  thinking: (type) => (type === "adaptive" ? {} : thinking(type === "enabled")),
  systemSeparator: undefined,
  putsResultsFirst: false,
  continuesAnswer: true,
  text: {
    separator: "\n",
    keepsNone: true,
    callOf: (call, called) => ({ ...call, function: called }),
    keepsEmptyParts: true,
    joinsResults: false,
    gathersSystem: false,
    givesLastAnswerToUser: false,
  },
};

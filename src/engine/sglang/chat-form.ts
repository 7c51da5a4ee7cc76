import { type ChatForm, OWN_FORM } from "../../protocol/chat-form.ts";
import type { ToolSpec } from "../../protocol/generation.ts";
import type { JsonObject } from "../../protocol/json/json.ts";
import { effort, thinking } from "../../protocol/template-kwargs.ts";
import { isOlder, type VersionNumbers } from "../engine-version.ts";

/** The members that SGLang knows. */
const OF_FUNCTION: ReadonlySet<string> = new Set(["description", "name", "parameters", "strict", "defer_loading"]);

/** Those members of a function in SGLang's order; null for an absent description and absent parameters. */
function known({ name, written, beside }: ToolSpec): JsonObject {
  const deferred = written["defer_loading"] ?? beside["defer_loading"] ?? null;
  return {
    description: written["description"] ?? null,
    name,
    parameters: written["parameters"] ?? null,
    strict: written["strict"] ?? null,
    ...(deferred === null ? {} : { defer_loading: deferred }),
  };
}

/** The client's order, and behind it what the client left out. `strict` only where it was said. */
function asTheClientWrote(spec: ToolSpec): JsonObject {
  const members = known(spec);
  const names = [...Object.keys(spec.written).filter((name) => OF_FUNCTION.has(name)), ...Object.keys(members)];
  const shown = [...new Set(names)].filter((name) => name in members && !(name === "strict" && members[name] === null));
  return Object.fromEntries(shown.map((name) => [name, members[name]]));
}

function inOwnOrder(spec: ToolSpec): JsonObject {
  const members = known(spec);
  return { ...members, strict: members["strict"] ?? false };
}

/** SGLang 0.5.23 and newer. */
const NEWEST: ChatForm = {
  toolOf: (spec) => ({
    type: "function",
    function: asTheClientWrote(spec),
    defer_loading: spec.beside["defer_loading"] ?? null,
  }),
  tellsEveryTool: false,
  effort: (level) => (level === undefined ? {} : { ...thinking(level !== "none"), reasoning_effort: level }),
  thinking: (type) => thinking(type !== "disabled"),
  systemSeparator: "\n",
  putsResultsFirst: false,
  continuesAnswer: false,
  text: {
    ...OWN_FORM.text,
    separator: " ",
    keepsNone: false,
    callOf: ({ id }, { name, arguments: given }) => ({
      id,
      index: null,
      type: "function",
      function: { name, arguments: given },
    }),
    joinsResults: true,
    givesLastAnswerToUser: true,
  },
};
const BEFORE_23: ChatForm = {
  ...NEWEST,
  toolOf: (spec) => ({
    type: "function",
    function: inOwnOrder(spec),
    defer_loading: spec.beside["defer_loading"] ?? null,
  }),
};
const BEFORE_15: ChatForm = {
  ...BEFORE_23,
  effort: (level) => (level === "none" ? effort(level) : level === undefined ? {} : { reasoning_effort: level }),
};
const BEFORE_11: ChatForm = {
  ...BEFORE_15,
  toolOf: (spec) => ({ type: "function", function: inOwnOrder(spec) }),
  text: { ...NEWEST.text, joinsResults: false },
};
/** Tools are bare functions. */
const BEFORE_9: ChatForm = { ...BEFORE_11, toolOf: inOwnOrder };
const BEFORE_8: ChatForm = { ...BEFORE_9, text: { ...BEFORE_9.text, givesLastAnswerToUser: false } };

const OLDER: readonly (readonly [before: VersionNumbers, form: ChatForm])[] = [
  [[0, 5, 8], BEFORE_8],
  [[0, 5, 9], BEFORE_9],
  [[0, 5, 11], BEFORE_11],
  [[0, 5, 15], BEFORE_15],
  [[0, 5, 23], BEFORE_23],
];

/** How SGLang's server makes prompts, as read in its versions 0.4.6 to 0.5.23. */
export function chatForm(version: string | undefined): ChatForm {
  return OLDER.find(([before]) => isOlder(version, before))?.[1] ?? NEWEST;
}

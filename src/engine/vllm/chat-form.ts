import { type ChatForm, OWN_FORM } from "../../protocol/chat-form.ts";
import type { ToolSpec } from "../../protocol/generation.ts";
import type { JsonObject } from "../../protocol/json/json.ts";
import { isOlder, type VersionNumbers } from "../engine-version.ts";

const OF_FUNCTION = ["name", "description", "parameters", "strict", "defer_loading"];

/** The members that every version knows, with null for those that are absent. */
function basis({ name, written }: ToolSpec): JsonObject {
  return { name, description: written["description"] ?? null, parameters: written["parameters"] ?? null };
}

/** Those of these members that are there and not null. */
function present(members: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.flatMap((name) => ((members[name] ?? null) === null ? [] : [[name, members[name]]])));
}

function others(members: JsonObject, known: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !known.includes(name)));
}

/** `defer_loading` beside a function is the function's as well, unless that has its own. */
function knownTool(tool: ToolSpec): { readonly function: JsonObject; readonly outer: JsonObject } {
  const outer = present(tool.beside, ["defer_loading"]);
  return { function: { ...basis(tool), ...outer, ...present(tool.written, ["strict", "defer_loading"]) }, outer };
}

/** Sorted as vLLM writes them, whatever the order in which they were put together. */
function inOrder(members: JsonObject): JsonObject {
  return Object.fromEntries(OF_FUNCTION.filter((name) => name in members).map((name) => [name, members[name]]));
}

function tool(called: JsonObject, outer: JsonObject): object {
  return { type: "function", function: called, ...outer };
}

/** vLLM 0.27 and newer. */
const NEWEST: ChatForm = {
  toolOf: (spec) => {
    const { function: called, outer } = knownTool(spec);
    return tool(inOrder(called), outer);
  },
  tellsEveryTool: true,
  effort: (level) => (level === undefined ? {} : { reasoning_effort: level, enable_thinking: level !== "none" }),
  thinking: (type) => (type === "disabled" ? NEWEST.effort("none") : {}),
  systemSeparator: "",
  putsResultsFirst: true,
  continuesAnswer: false,
  text: {
    ...OWN_FORM.text,
    keepsNone: false,
    callOf: ({ id }, { name, arguments: given }) => ({ id, function: { arguments: given, name }, type: "function" }),
    keepsEmptyParts: false,
    joinsResults: true,
    gathersSystem: true,
  },
};
/** JsonObject that vLLM does not know come behind the others. */
const BEFORE_27: ChatForm = {
  ...NEWEST,
  toolOf: (spec) => {
    const { function: called, outer } = knownTool(spec);
    const more = others(spec.written, OF_FUNCTION);
    return tool({ ...inOrder(called), ...more }, { ...outer, ...others(spec.beside, ["defer_loading"]) });
  },
};
/** `strict` and `defer_loading` are not known. */
const BEFORE_24: ChatForm = {
  ...BEFORE_27,
  toolOf: (spec) => tool({ ...basis(spec), ...others(spec.written, OF_FUNCTION.slice(0, 3)) }, spec.beside),
};
const BEFORE_23: ChatForm = { ...BEFORE_24, text: { ...BEFORE_24.text, gathersSystem: false } };
const BEFORE_22: ChatForm = {
  ...BEFORE_23,
  effort: (level) => (level === undefined ? {} : { reasoning_effort: level }),
  thinking: () => ({}),
};

const OLDER: readonly (readonly [before: VersionNumbers, form: ChatForm])[] = [
  [[0, 22], BEFORE_22],
  [[0, 23], BEFORE_23],
  [[0, 24], BEFORE_24],
  [[0, 27], BEFORE_27],
];

/** How vLLM's server makes prompts, as read in its versions 0.10 to 0.32 and compared with the prompts of 0.32. */
export function chatForm(version: string | undefined): ChatForm {
  return OLDER.find(([before]) => isOlder(version, before))?.[1] ?? NEWEST;
}

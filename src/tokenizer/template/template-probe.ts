import type { AnyRecord } from "../../util/objects.ts";

/** How a template takes the content of a role's messages, and the arguments of calls. */
export interface RoleContent {
  /** The template prints the text of parts. Otherwise parts are joined to one string. */
  readonly takesParts: boolean;
  /** The template prints a string. Otherwise the string becomes a part. */
  readonly takesStrings: boolean;
}

type Render = (messages: readonly AnyRecord[], tools: readonly AnyRecord[]) => string;

const FIRST = "FirstProbe";
const SECOND = "SecondProbe";
const PARTS = [
  { type: "text", text: FIRST },
  { type: "text", text: SECOND },
];
/** Matches a list of parts that the template printed as a whole. */
const PART_PRINTED = /['"]type['"]\s*:/;

const TOOL = {
  type: "function",
  function: { name: "probe", description: "d", parameters: { type: "object", properties: {} } },
};

/**
 * Renders small chats, one with parts and one with a string, to find out how a template treats the content of a role. A template
 * that refuses both counts as taking parts, if its source loops over them.
 */
export function probeContent(render: Render, role: string, loopsOverContent: boolean): RoleContent {
  const parts = attempt(() => render(chatOf(role, PARTS), tools(role)));
  const string = attempt(() => render(chatOf(role, FIRST), tools(role)));
  if (parts === undefined) return { takesParts: string === undefined && loopsOverContent, takesStrings: true };
  const shown = [FIRST, SECOND].filter((text) => parts.includes(text)).length;
  // A template that shows neither text (it may only count pictures) is judged by its source. One that shows only one of two parts would lose the other.
  const takesParts = !PART_PRINTED.test(parts) && (shown === 2 || (shown === 0 && loopsOverContent));
  return { takesParts, takesStrings: !(takesParts && shown === 2) || string?.includes(FIRST) === true };
}

/** Whether a template prints a developer's message. Some templates know the role for other purposes. */
export function showsDeveloper(render: Render): boolean {
  return attempt(() => render(chatOf("developer", FIRST), []))?.includes(FIRST) === true;
}

function tools(role: string): readonly AnyRecord[] {
  return role === "tool" ? [TOOL] : [];
}

function chatOf(role: string, content: unknown): AnyRecord[] {
  const user = { role: "user", content: "u" };
  if (role === "system" || role === "developer") return [{ role, content }, user];
  if (role === "assistant") return [user, { role, content }, user];
  if (role !== "tool") return [{ role, content }];
  return [user, callWith({}), { role, tool_call_id: "call00001", name: "probe", content }];
}

function callWith(args: unknown, content: string | null = ""): AnyRecord {
  const call = { id: "call00001", type: "function", function: { name: "probe", arguments: args } };
  return { role: "assistant", content, tool_calls: [call] };
}

const ARGUMENTS = { probe: "value" };
const ARGUMENTS_TEXT = '{"probe": "value"}';

/**
 * The content for an assistant's call without text: null if the template takes null and does not print it, otherwise "". For a
 * template that refuses both, its source decides.
 */
export function emptyContent(render: Render): string | null {
  const rendered = (content: string | null, args: unknown) =>
    attempt(() => render([{ role: "user", content: "u" }, callWith(args, content)], [TOOL]));
  // Some templates refuse objects as arguments; then a string is tried.
  const [none, empty] = [rendered(null, {}) ?? rendered(null, "{}"), rendered("", {}) ?? rendered("", "{}")];
  if (none === undefined) return empty === undefined ? null : "";
  return occurrences(none) > occurrences(empty ?? none) ? "" : null;
}

/** How often none occurs in a prompt, as Python or JSON writes it. */
function occurrences(prompt: string): number {
  return prompt.split(/None|null/).length;
}

/**
 * Whether a template wants the arguments of a call as a string: it fails on an object or prints it in Python's form, and it
 * prints a string unchanged.
 */
export function wantsArgumentText(render: Render, content: string | null): boolean {
  const user = { role: "user", content: "u" };
  const rendered = (args: unknown) => attempt(() => render([user, callWith(args, content)], [TOOL]));
  const object = rendered(ARGUMENTS);
  if (object !== undefined && !object.includes("{'probe': 'value'}")) return false;
  return rendered(ARGUMENTS_TEXT)?.includes(ARGUMENTS_TEXT) === true;
}

function attempt(render: () => string): string | undefined {
  try {
    return render();
  } catch {
    // The template refuses this chat, so it cannot be probed for this.
    return undefined;
  }
}

import type { AnyRecord } from "../../util/objects.ts";

/** How a template takes the content of a role's messages, and the arguments of calls. */
export interface RoleContent {
  /** It prints the text of parts; else parts are put together to one string. */
  readonly takesParts: boolean;
  /** It prints the text of a string; else a string is put into a part. */
  readonly takesStrings: boolean;
}

type Render = (messages: readonly AnyRecord[], tools: readonly AnyRecord[]) => string;

const FIRST = "FirstProbe";
const SECOND = "SecondProbe";
const PARTS = [
  { type: "text", text: FIRST },
  { type: "text", text: SECOND },
];
/** A list that is printed shows the name of this member. */
const PART_PRINTED = /['"]type['"]\s*:/;

const TOOL = {
  type: "function",
  function: { name: "probe", description: "d", parameters: { type: "object", properties: {} } },
};

/**
 * Finds by rendering small chats with parts, and with a string, what a template does with the content of a role. A template that
 * refuses both takes parts where its source goes through them.
 */
export function probeContent(render: Render, role: string, loopsOverContent: boolean): RoleContent {
  const parts = attempt(() => render(chatOf(role, PARTS), tools(role)));
  const string = attempt(() => render(chatOf(role, FIRST), tools(role)));
  if (parts === undefined) return { takesParts: string === undefined && loopsOverContent, takesStrings: true };
  const shown = [FIRST, SECOND].filter((text) => parts.includes(text)).length;
  // What shows neither, as where only pictures count, is known by its source; what shows one only would lose the others.
  const takesParts = !PART_PRINTED.test(parts) && (shown === 2 || (shown === 0 && loopsOverContent));
  return { takesParts, takesStrings: !(takesParts && shown === 2) || string?.includes(FIRST) === true };
}

/** Whether a template shows what a developer says: some know the role for other purposes. */
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
 * What a call without text has as its content: none where the template takes that, and does not print it, else nothing. Of a template
 * that refuses both, what its source asks for stands.
 */
export function emptyContent(render: Render): string | null {
  const rendered = (content: string | null, args: unknown) =>
    attempt(() => render([{ role: "user", content: "u" }, callWith(args, content)], [TOOL]));
  // Some take no objects as arguments, which is no matter here.
  const [none, empty] = [rendered(null, {}) ?? rendered(null, "{}"), rendered("", {}) ?? rendered("", "{}")];
  if (none === undefined) return empty === undefined ? null : "";
  return occurrences(none) > occurrences(empty ?? none) ? "" : null;
}

/** How often none stands in a prompt, as Python or JSON writes it. */
function occurrences(prompt: string): number {
  return prompt.split(/None|null/).length;
}

/**
 * Whether a template wants the arguments of a call as the string that they are: it fails on an object, or prints it as Python would,
 * and prints a string as it stands.
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
    // A template that refuses such a chat says nothing of it.
    return undefined;
  }
}

import type { AnyRecord } from "../util/objects.ts";

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
  const showsParts = parts.includes(FIRST) && parts.includes(SECOND);
  // What shows neither, as where only pictures count, is known by its source.
  const takesParts = !PART_PRINTED.test(parts) && (showsParts || loopsOverContent);
  return { takesParts, takesStrings: !(takesParts && showsParts) || string?.includes(FIRST) === true };
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

function callWith(args: unknown): AnyRecord {
  const call = { id: "call00001", type: "function", function: { name: "probe", arguments: args } };
  return { role: "assistant", content: "", tool_calls: [call] };
}

const ARGUMENTS = { probe: "value" };
const ARGUMENTS_TEXT = '{"probe": "value"}';

/**
 * Whether a template wants the arguments of a call as the string that they are: it fails on an object, or prints it as Python would,
 * and prints a string as it stands.
 */
export function wantsArgumentText(render: Render): boolean {
  const user = { role: "user", content: "u" };
  const rendered = (args: unknown) => attempt(() => render([user, callWith(args)], [TOOL]));
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

/** Counts the tool calls in the messages of a conversation (OpenAI's shape). Families that number their calls continue from this count. */
export function callsIn(messages: readonly Readonly<Record<string, unknown>>[]): number {
  let count = 0;
  for (const { tool_calls: calls } of messages) if (Array.isArray(calls)) count += calls.length;
  return count;
}

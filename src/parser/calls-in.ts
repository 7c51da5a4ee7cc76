/** Tool calls in the messages of a conversation, in OpenAI's shape: families that number their calls go on from there. */
export function callsIn(messages: readonly Readonly<Record<string, unknown>>[]): number {
  let count = 0;
  for (const { tool_calls: calls } of messages) if (Array.isArray(calls)) count += calls.length;
  return count;
}

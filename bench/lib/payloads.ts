import type { Load } from "./load.ts";

const SYSTEM = "You are a helpful assistant. Answer briefly and to the point.";
/** Distinct prompts among which a load goes round. */
const SMALL_PROMPTS = 256;
const CONVERSATIONS = 16;

/** Small questions under one system prompt. */
export function smallChat(): Load {
  const requests = Array.from({ length: SMALL_PROMPTS }, (_, index) =>
    chatRequest(SYSTEM, `What is the capital of country number ${index}?`, false),
  );
  return { requests, events: 0 };
}

/** Prompts of about `bytes` that share their first half with the others of their conversation. */
export function longChat(bytes: number, count: number): Load {
  const requests = Array.from({ length: count }, (_, index) => {
    const shared = filler(bytes / 2, `conversation ${index % CONVERSATIONS}`);
    return chatRequest(SYSTEM, shared + filler(bytes / 2, `turn ${index}`), false);
  });
  return { requests, events: 0 };
}

/** Streams of `tokens` tokens, one each `intervalMs` (0: as fast as they are taken). */
export function streamedChat(tokens: number, intervalMs: number): Load {
  // The role, the finish reason and the end marker are events too.
  return { requests: [chatRequest(SYSTEM, `stream ${tokens} ${intervalMs}`, true)], events: tokens + 3 };
}

function filler(bytes: number, words: string): string {
  return Array.from({ length: Math.ceil(bytes / (words.length + 12)) }, (_, index) => `${words} ${index} and so on. `)
    .join("")
    .slice(0, bytes);
}

/** A chat completion as bytes on the wire. */
export function chatRequest(system: string, user: string, isStream: boolean): Uint8Array {
  return chatBytes({
    stream: isStream,
    max_tokens: 64,
    messages: [
      { role: "system", content: system },
      { role: "user", content: user },
    ],
  });
}

/** A chat completion of these members as bytes on the wire. */
export function chatBytes(members: object): Uint8Array {
  const body = JSON.stringify({ model: "bench", ...members });
  const head =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.internal\r\ncontent-type: application/json\r\n" +
    `authorization: Bearer client-key\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.from(head + body);
}

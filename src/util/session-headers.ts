/**
 * Headers that may name the session or user of a request; the first that is there counts: those of gateways, of coding agents (OpenCode,
 * Claude Code, Codex), of Open WebUI, and of users. Request ids are not among them, as each request has another.
 */
export const SESSION_HEADERS = [
  ...[
    "x-routing-key",
    "x-smg-routing-key",
    "x-sgl-routing-key",
    "x-session-id",
    "x-dynamo-session-id",
    "x-litellm-session-id",
  ],
  ...["x-session-affinity", "x-claude-code-session-id", "session-id", "session_id", "x-openwebui-chat-id", "x-user-id"],
] as const;

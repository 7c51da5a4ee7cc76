/** What the benchmarks' engine answers, as bytes on the wire, made once. */
const MODEL = "bench";

const CHAT = {
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_700_000_000,
  model: MODEL,
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "The quick brown fox jumps over the lazy dog." },
      logprobs: null,
      finish_reason: "stop",
    },
  ],
  usage: { prompt_tokens: 24, completion_tokens: 10, total_tokens: 34 },
};

const GETS: Readonly<Record<string, unknown>> = {
  "/v1/models": { object: "list", data: [{ id: MODEL, object: "model", created: 1, owned_by: "vllm" }] },
  "/health": "OK",
  "/health_generate": "OK",
  "/version": { version: "0.1" },
  "/get_model_info": { model_path: MODEL, is_generation: true },
  "/model_info": { model_path: MODEL, is_generation: true },
  "/get_server_info": { model_path: MODEL, served_model_name: MODEL, version: "0.1" },
  "/server_info": { model_path: MODEL, served_model_name: MODEL, version: "0.1" },
};

const NOT_FOUND = whole("404 Not Found", "not found");
const pages = new Map(Object.entries(GETS).map(([path, value]) => [path, whole("200 OK", value)]));

export const JSON_ANSWER = whole("200 OK", CHAT);
export const STREAM_HEAD = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
);
export const FIRST_EVENT = event({ role: "assistant", content: "" }, null);
export const TOKEN_EVENT = event({ content: " token" }, null);
/** The finish reason, the end marker and the end of the chunks. */
export const STREAM_END = Buffer.concat([event({}, "stop"), chunk("data: [DONE]\n\n"), Buffer.from("0\r\n\r\n")]);

export function page(path: string): Uint8Array {
  return pages.get(path) ?? NOT_FOUND;
}

function whole(status: string, value: unknown): Uint8Array {
  const isText = typeof value === "string";
  const body = isText ? value : JSON.stringify(value);
  const type = isText ? "text/plain" : "application/json";
  return Buffer.from(
    `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function event(delta: object, finish: string | null): Buffer {
  const head = { id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_700_000_000, model: MODEL };
  return chunk(
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] })}\n\n`,
  );
}

function chunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

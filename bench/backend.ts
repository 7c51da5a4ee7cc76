/**
 * The engine behind every gateway in the benchmarks: answers at once and costs next to nothing, so that what is measured
 * is the gateway. The last message says what is wanted: `json`, or `stream COUNT INTERVAL_MS`.
 */
const MODEL = "bench";
const encoder = new TextEncoder();

const ANSWER = JSON.stringify({
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
});

function event(delta: object, finish: string | null): Uint8Array {
  const chunk = { id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_700_000_000, model: MODEL };
  return encoder.encode(
    `data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] })}\n\n`,
  );
}

const FIRST = event({ role: "assistant", content: "" }, null);
const TOKEN = event({ content: " token" }, null);
const LAST = event({}, "stop");
const DONE = encoder.encode("data: [DONE]\n\n");

interface Sink {
  write(bytes: Uint8Array): number | Promise<number>;
  flush(): unknown;
  close(): void;
}

function stream(count: number, intervalMs: number): Response {
  const source: Bun.DirectUnderlyingSource = {
    type: "direct",
    async pull(sink: Sink): Promise<void> {
      await sink.write(FIRST);
      for (let index = 0; index < count; index += 1) {
        if (intervalMs > 0) await Bun.sleep(intervalMs);
        // One write and flush a token, as engines do it.
        const written = sink.write(TOKEN);
        if (written instanceof Promise) await written;
        const flushed = sink.flush();
        if (flushed instanceof Promise) await flushed;
      }
      await sink.write(LAST);
      await sink.write(DONE);
      sink.close();
    },
  };
  return new Response(new ReadableStream(source), {
    headers: { "content-type": "text/event-stream" },
  });
}

const json = { "content-type": "application/json" };
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2] ?? 0),
  idleTimeout: 0,
  routes: {
    "/v1/chat/completions": {
      POST: async (request) => {
        const body = await request.text();
        const wanted = /stream (\d+) (\d+)/.exec(body);
        return wanted ? stream(Number(wanted[1]), Number(wanted[2])) : new Response(ANSWER, { headers: json });
      },
    },
    "/v1/models": () =>
      Response.json({ object: "list", data: [{ id: MODEL, object: "model", created: 1, owned_by: "vllm" }] }),
    "/health": () => new Response("OK"),
    "/health_generate": () => new Response("OK"),
    "/version": () => Response.json({ version: "0.1" }),
    "/get_model_info": () => Response.json({ model_path: MODEL, is_generation: true }),
    "/model_info": () => Response.json({ model_path: MODEL, is_generation: true }),
    "/get_server_info": () => Response.json({ model_path: MODEL, served_model_name: MODEL, version: "0.1" }),
    "/server_info": () => Response.json({ model_path: MODEL, served_model_name: MODEL, version: "0.1" }),
  },
  fetch: () => new Response("not found", { status: 404 }),
});
console.log(JSON.stringify({ port: server.port }));

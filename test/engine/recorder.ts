/** One request that passed, and the text that the engine answered to it. */
export interface RecordedExchange {
  readonly request: Readonly<Record<string, unknown>>;
  text: string;
}

export interface Recorder extends AsyncDisposable {
  readonly url: string;
  readonly exchanges: readonly RecordedExchange[];
}

/** Passes everything on to an engine and keeps what was asked and answered. */
export function startRecorder(engine: string): Recorder {
  const exchanges: RecordedExchange[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const body = request.method === "POST" ? await request.text() : undefined;
      const answer = await fetch(`${engine}${pathname}${search}`, {
        method: request.method,
        headers: { "content-type": "application/json" },
        signal: request.signal,
        ...(body === undefined ? {} : { body }),
      });
      if (body === undefined || !answer.body) return answer;
      const exchange: RecordedExchange = { request: JSON.parse(body) as Record<string, unknown>, text: "" };
      exchanges.push(exchange);
      return new Response(answer.body.pipeThrough(listenTo(exchange)), {
        status: answer.status,
        headers: { "content-type": answer.headers.get("content-type") ?? "application/json" },
      });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    exchanges,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

function listenTo(exchange: RecordedExchange): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  let rest = "";
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      const events = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) exchange.text += contentOf(event);
    },
  });
}

function contentOf(event: string): string {
  if (!event.startsWith("data: {")) return "";
  const { choices } = JSON.parse(event.slice(6)) as { choices?: { delta?: { content?: string } }[] };
  return choices?.[0]?.delta?.content ?? "";
}

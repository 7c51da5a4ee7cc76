/** An error in the shape of vLLM's OpenAI server. */
export function errorReply(status: number, type: string, message: string, param: string | null = null): Response {
  return Response.json({ error: { message, type, param, code: status } }, { status });
}

/** Server-sent events from a generator of frames; a client that leaves ends the generator. */
export function eventReply(frames: AsyncGenerator<string, void, void>): Response {
  const source: Bun.DirectUnderlyingSource<Uint8Array> = {
    type: "direct",
    async pull(controller) {
      for await (const frame of frames) {
        await controller.write(frame);
        await controller.flush();
      }
      controller.close();
    },
    async cancel() {
      await frames.return();
    },
  };
  return new Response(new ReadableStream(source), { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

/** A frame of OpenAI's kind. */
export function dataFrame(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** A frame with an event's name, as Anthropic and the Responses API have them. */
export function namedFrame(event: { readonly type: string }): string {
  return `event: ${event.type}\n${dataFrame(event)}`;
}

export const DONE_FRAME = "data: [DONE]\n\n";

export function newId(prefix: string): string {
  return `${prefix}${crypto.randomUUID().replaceAll("-", "")}`;
}

export function nowSecs(): number {
  return Math.floor(Date.now() / 1000);
}

/** An error response as vLLM's OpenAI server writes it. */
export function errorReply(status: number, type: string, message: string, param: string | null = null): Response {
  return Response.json({ error: { message, type, param, code: status } }, { status });
}

/** A response that sends frames as server-sent events. When its client leaves, the generator is ended. */
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

/** A server-sent event without a name, as the OpenAI API has them. */
export function dataFrame(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** A server-sent event that is named by its type, as Anthropic's API and the Responses API have them. */
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

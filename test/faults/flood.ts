import type { Socket } from "bun";
import { chunk, STREAM_HEAD } from "../support/engine.ts";

/** A worker that streams as fast as it is read, and knows how much was taken of it. */
export interface Flood extends AsyncDisposable {
  readonly url: string;
  /** Bytes of the answer that the kernel has taken. */
  readonly sent: number;
  /** Bytes of the answer without what HTTP puts around them. */
  readonly textBytes: number;
  /** Resolves when a stream's connection was closed from the other side before its end. */
  readonly cut: Promise<void>;
}

interface Sending {
  bytes: Uint8Array;
  left: number;
}

const SMALL = { "/health": "OK", "/v1/models": '{"object":"list","data":[{"id":"flood","object":"model"}]}' };

/** Each stream is `totalBytes` long at least, then ends as it should. */
export function startFlood(totalBytes: number): Flood {
  const text = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "a".repeat(16_000) } }] })}\n\n`;
  const event = Buffer.from(chunk(text));
  const done = "data: [DONE]\n\n";
  const end = Buffer.from(`${chunk(done)}0\r\n\r\n`);
  let sent = 0;
  let textBytes = 0;
  const { promise: cut, resolve } = Promise.withResolvers<void>();
  const push = (socket: Socket<Sending>): void => {
    const { data } = socket;
    for (;;) {
      if (data.bytes.length === 0) {
        if (data.left <= 0) return;
        data.left -= event.length;
        data.bytes = data.left > 0 ? event : end;
        textBytes += data.left > 0 ? text.length : done.length;
      }
      const taken = Math.max(0, socket.write(data.bytes));
      sent += taken;
      data.bytes = data.bytes.subarray(taken);
      if (data.bytes.length > 0) return;
    }
  };
  const server = Bun.listen<Sending>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { bytes: new Uint8Array(0), left: 0 };
      },
      data(socket, bytes) {
        const path = /^\w+ (\S+)/.exec(bytes.toString("latin1"))?.[1] ?? "";
        const small = Object.entries(SMALL).find(([name]) => name === path)?.[1];
        if (small !== undefined) {
          socket.write(
            `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${small.length}\r\n\r\n${small}`,
          );
        } else if (path.startsWith("/v1/chat")) {
          socket.data = { bytes: Buffer.from(STREAM_HEAD), left: totalBytes };
          push(socket);
        } else socket.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
      },
      drain: push,
      close(socket) {
        if (socket.data.left > 0) resolve();
      },
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    get sent() {
      return sent;
    },
    get textBytes() {
      return textBytes;
    },
    cut,
    [Symbol.asyncDispose]: async () => server.stop(true),
  };
}

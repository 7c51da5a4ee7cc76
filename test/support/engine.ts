import type { Socket, TCPSocketListener } from "bun";
import { type EngineOptions, type SimulatedEngine, startEngine as start } from "../../src/engine-sim/engine.ts";

/** A simulated engine that answers at once. */
export function startEngine(options: EngineOptions = {}): Promise<SimulatedEngine> {
  return start({ instant: true, ...options });
}

/** One request that a raw engine got, and its connection to misbehave on. */
export interface RawExchange {
  readonly head: string;
  readonly body: string;
  write(text: string): void;
  /** Ends the connection in order. */
  end(): void;
  /** Breaks it. */
  reset(): void;
}

export interface RawEngine extends AsyncDisposable {
  readonly url: string;
  /** Inference requests that arrived whole: each would have been a generation. */
  readonly generations: number;
  /** Resolves when a connection was closed from the other side. */
  readonly sawClose: Promise<void>;
}

interface Connection {
  buffered: string;
}

const HEALTH = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";
const MODELS = JSON.stringify({ object: "list", data: [{ id: "raw", object: "model", owned_by: "vllm" }] });

/**
 * An engine on a bare socket: `answer` writes whatever bytes it likes to an inference request. Health and model list
 * are answered as they should be.
 */
export async function startRawEngine(answer: (exchange: RawExchange) => void): Promise<RawEngine> {
  let generations = 0;
  const { promise: sawClose, resolve: closed } = Promise.withResolvers<void>();
  const onRequest = (socket: Socket<Connection>, head: string, body: string): void => {
    if (head.startsWith("GET /health")) socket.write(HEALTH);
    else if (head.startsWith("GET /v1/models")) {
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${MODELS.length}\r\n\r\n${MODELS}`,
      );
    } else if (head.startsWith("GET ")) socket.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    else {
      generations += 1;
      answer({
        head,
        body,
        write: (text) => {
          socket.write(text);
        },
        end: () => {
          socket.end();
        },
        reset: () => socket.terminate(),
      });
    }
  };
  const server: TCPSocketListener<Connection> = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { buffered: "" };
      },
      data(socket, bytes) {
        socket.data.buffered += bytes.toString("latin1");
        for (;;) {
          const end = socket.data.buffered.indexOf("\r\n\r\n");
          if (end < 0) return;
          const head = socket.data.buffered.slice(0, end);
          const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
          if (socket.data.buffered.length < end + 4 + length) return;
          const body = socket.data.buffered.slice(end + 4, end + 4 + length);
          socket.data.buffered = socket.data.buffered.slice(end + 4 + length);
          onRequest(socket, head, body);
        }
      },
      close: () => closed(),
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    get generations() {
      return generations;
    },
    sawClose,
    [Symbol.asyncDispose]: async () => server.stop(true),
  };
}

/** The head of a chunked event stream. */
export const STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/** Text as one chunk. */
export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

/** An event of a chat stream with this text, as one chunk. */
export function deltaChunk(content: string): string {
  const event = {
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "raw",
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  };
  return chunk(`data: ${JSON.stringify(event)}\n\n`);
}

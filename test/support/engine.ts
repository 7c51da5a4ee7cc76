import type { Socket, TCPSocketListener } from "bun";
import {
  type EngineOptions,
  type RecordedRequest,
  type SimulatedEngine,
  startEngine as start,
} from "../../src/engine-sim/engine.ts";

/** A simulated engine that answers at once. */
export function startEngine(options: EngineOptions = {}): Promise<SimulatedEngine> {
  return start({ instant: true, ...options });
}

/** The request id that the client gave: what the worker gets begins with it. */
export function clientIdOf({ headers }: Pick<RecordedRequest, "headers">): string {
  return (headers["x-request-id"] ?? "").replace(/-[0-9a-z]+$/, "");
}

export interface HeldEngine {
  readonly engine: SimulatedEngine;
  /** Names of the requests that have come, in their order. */
  readonly order: readonly string[];
  /** Lets the request that has waited longest be answered. */
  release(): void;
}

/** A simulated engine that answers one request for each time that it is let to. */
export async function startHeldEngine(
  model: string,
  nameOf: (request: RecordedRequest) => string,
): Promise<HeldEngine> {
  const waiting: (() => void)[] = [];
  const order: string[] = [];
  const engine = await startEngine({
    model,
    respond: async (request) => {
      order.push(nameOf(request));
      await new Promise<void>((resolve) => waiting.push(resolve));
      return Response.json({ object: "chat.completion", choices: [] });
    },
  });
  return { engine, order, release: () => waiting.shift()?.() };
}

/** One request that a raw engine got, and its connection to misbehave on. */
export interface RawExchange {
  readonly head: string;
  readonly body: string;
  /** Bytes that the system has taken on this connection; what it has not is written when it will. */
  readonly writtenBytes: number;
  /** Resolves when this connection is closed, from either side. */
  readonly closed: Promise<void>;
  write(bytes: string | Uint8Array): void;
  /** Ends the connection in order, after what was written. */
  end(): void;
  /** Breaks it. */
  reset(): void;
}

export interface RawEngineOptions {
  /** Called with each new connection, before anything has come on it. */
  readonly onOpen?: (connection: RawExchange) => void;
  /** Connections on which nothing came for this long are ended in order, ms. */
  readonly idleCloseMs?: number;
}

export interface RawEngine extends AsyncDisposable {
  readonly url: string;
  /** Inference requests that arrived whole: each would have been a generation. */
  readonly generations: number;
  /** Times that it was asked what it serves. */
  readonly modelQuestions: number;
  /** Connections that are open now, those of probes included. */
  readonly openConnections: number;
  /** Resolves when a connection was closed from the other side. */
  readonly sawClose: Promise<void>;
}

const HEALTH = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";
const MODELS = JSON.stringify({ object: "list", data: [{ id: "raw", object: "model", owned_by: "vllm" }] });

/**
 * An engine on a bare socket: `answer` writes whatever bytes it likes to an inference request. Health and model list
 * are answered as they should be.
 */
export async function startRawEngine(
  answer: (exchange: RawExchange) => void | Promise<void>,
  options: RawEngineOptions = {},
): Promise<RawEngine> {
  let generations = 0;
  let modelQuestions = 0;
  const connections = new Set<RawConnection>();
  const { promise: sawClose, resolve: closed } = Promise.withResolvers<void>();
  const onRequest = (connection: RawConnection, head: string, body: string): void => {
    if (head.startsWith("GET /health")) connection.write(HEALTH);
    else if (head.startsWith("GET /v1/models")) {
      modelQuestions += 1;
      connection.write(jsonAnswer(MODELS));
    } else if (head.startsWith("GET ")) connection.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    else {
      generations += 1;
      void answer(connection.exchange(head, body));
    }
  };
  const server: TCPSocketListener<RawConnection> = Bun.listen<RawConnection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = new RawConnection(socket, options.idleCloseMs);
        connections.add(socket.data);
        options.onOpen?.(socket.data.exchange("", ""));
      },
      data(socket, bytes) {
        for (const { head, body } of socket.data.take(bytes)) onRequest(socket.data, head, body);
      },
      drain: (socket) => socket.data.drain(),
      close(socket) {
        connections.delete(socket.data);
        socket.data.onClosed();
        closed();
      },
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    get generations() {
      return generations;
    },
    get modelQuestions() {
      return modelQuestions;
    },
    get openConnections() {
      return connections.size;
    },
    sawClose,
    [Symbol.asyncDispose]: async () => server.stop(true),
  };
}

/** A connection of a raw engine: requests come out of it whole, bytes go in when the system takes them. */
class RawConnection {
  readonly #socket: Socket<RawConnection>;
  readonly #idleCloseMs: number | undefined;
  readonly #closed = Promise.withResolvers<void>();
  #idleTimer: Timer | undefined;
  #buffered = "";
  #unsent: Uint8Array[] = [];
  #writtenBytes = 0;
  #isEnding = false;

  constructor(socket: Socket<RawConnection>, idleCloseMs: number | undefined) {
    this.#socket = socket;
    this.#idleCloseMs = idleCloseMs;
    this.#restartIdleTimer();
  }

  /** The requests that are whole with these bytes. What comes after the end is nobody's. */
  *take(bytes: Uint8Array): Generator<{ readonly head: string; readonly body: string }, void, void> {
    this.#restartIdleTimer();
    this.#buffered += Buffer.from(bytes).toString("latin1");
    while (!this.#isEnding) {
      const end = this.#buffered.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = this.#buffered.slice(0, end);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (this.#buffered.length < end + 4 + length) return;
      const body = this.#buffered.slice(end + 4, end + 4 + length);
      this.#buffered = this.#buffered.slice(end + 4 + length);
      yield { head, body };
    }
  }

  exchange(head: string, body: string): RawExchange {
    const written = (): number => this.#writtenBytes;
    return {
      head,
      body,
      get writtenBytes() {
        return written();
      },
      closed: this.#closed.promise,
      write: (bytes) => this.write(bytes),
      end: () => this.end(),
      reset: () => this.reset(),
    };
  }

  write(bytes: string | Uint8Array): void {
    this.#unsent.push(Buffer.from(bytes));
    if (this.#unsent.length === 1) this.drain();
  }

  end(): void {
    this.#isEnding = true;
    if (this.#unsent.length === 0) this.#socket.end();
  }

  reset(): void {
    this.#isEnding = true;
    this.#socket.terminate();
  }

  drain(): void {
    for (let next = this.#unsent[0]; next; next = this.#unsent[0]) {
      const written = Math.max(0, this.#socket.write(next));
      this.#writtenBytes += written;
      if (written < next.length) {
        this.#unsent[0] = next.subarray(written);
        return;
      }
      this.#unsent.shift();
    }
    if (this.#isEnding) this.#socket.end();
  }

  onClosed(): void {
    clearTimeout(this.#idleTimer);
    this.#unsent = [];
    this.#closed.resolve();
  }

  #restartIdleTimer(): void {
    clearTimeout(this.#idleTimer);
    if (this.#idleCloseMs !== undefined) this.#idleTimer = setTimeout(() => this.end(), this.#idleCloseMs);
  }
}

/** A whole answer of JSON. */
export function jsonAnswer(body: string, status = "200 OK", headers = ""): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The head of a chunked event stream. */
export const STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/** Text as one chunk. */
export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

/** Bytes as one chunk. */
export function byteChunk(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
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

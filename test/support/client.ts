import type { Socket } from "bun";

/** A client on a bare socket: sends exact bytes, reads when it likes, hangs up. */
export interface RawClient {
  /** Everything that came so far. */
  readonly received: string;
  /** Resolves when what came contains the text; rejects when the connection ends first. */
  until(text: string): Promise<string>;
  send(text: string): void;
  hangUp(): void;
  pause(): void;
  resume(): void;
  readonly closed: Promise<void>;
}

/** Connects to the origin of `url` and sends `text`. */
export async function openRaw(url: string, text: string): Promise<RawClient> {
  let received = "";
  let isClosed = false;
  const waiting: { text: string; resolve: (all: string) => void; reject: (error: Error) => void }[] = [];
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const settle = (): void => {
    for (const waiter of waiting.splice(0)) {
      if (received.includes(waiter.text)) waiter.resolve(received);
      else if (isClosed) waiter.reject(new Error(`closed after ${JSON.stringify(received)}`));
      else waiting.push(waiter);
    }
  };
  const { hostname, port } = new URL(url);
  const socket: Socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(_socket, bytes) {
        received += bytes.toString("latin1");
        settle();
      },
      close() {
        isClosed = true;
        settle();
        onClosed();
      },
    },
  });
  socket.write(text);
  return {
    get received() {
      return received;
    },
    until(wanted) {
      return new Promise((resolve, reject) => {
        waiting.push({ text: wanted, resolve, reject });
        settle();
      });
    },
    send: (more) => {
      socket.write(more);
    },
    hangUp: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    closed,
  };
}

/** A POST with a JSON body as bytes on the wire. */
export function rawPost(path: string, body: unknown, headers = ""): string {
  const text = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

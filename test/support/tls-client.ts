import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { TEST_CA } from "./tls.ts";

/** A client of one TLS connection, which sees what is on it. */
export interface TlsClient {
  readonly socket: TLSSocket;
  /** Resolves when the handshake is over; rejects with the code of its failure. */
  readonly secured: Promise<void>;
  /** Resolves when the connection is closed, with everything that came. */
  readonly closed: Promise<string>;
  /** Everything that has come. */
  readonly text: string;
  /** Resolves when what has come contains this. Rejects if the connection closes before. */
  until(part: string): Promise<string>;
}

/** Connects to a port of loopback that speaks TLS for `localhost`. */
export function tlsClient(port: number, options: ConnectionOptions = {}): TlsClient {
  const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca: TEST_CA, ...options });
  const secured = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<string>();
  secured.promise.catch(() => undefined);
  let text = "";
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  socket.on("secureConnect", () => secured.resolve());
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
    wake();
  });
  socket.on("error", (error: Error & { code?: string }) => secured.reject(new Error(error.code ?? error.message)));
  socket.on("close", () => {
    secured.reject(new Error("closed"));
    closed.resolve(text);
    wake();
  });
  return {
    socket,
    secured: secured.promise,
    closed: closed.promise,
    get text() {
      return text;
    },
    until: (part) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.includes(part)) resolve(text);
          else if (socket.destroyed) reject(new Error(`closed before ${JSON.stringify(part)} came: ${text}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** What a client's socket tells. A connection is one, and so is the handshake before it. */
export interface SocketUser {
  received(bytes: Buffer): void;
  drained(): void;
  /** The client has closed its side. */
  ended(): void;
  /** The socket is closed. */
  closed(cause: unknown): void;
}

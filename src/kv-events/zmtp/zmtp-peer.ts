import { command, greeting, message, ping, ready, type SocketType, subscription } from "./zmtp-frames.ts";
import { ZmtpError, type ZmtpLimits, ZmtpReader } from "./zmtp-reader.ts";

/** What a peer's connection calls. */
export interface PeerOwner {
  /** Bytes for the socket. */
  write(bytes: Uint8Array): void;
  /** The handshake is over: messages may come, and may be sent. */
  onReady(): void;
  onMessage(frames: readonly Buffer[]): void;
}

/** How our end behaves. */
export interface PeerSettings extends ZmtpLimits {
  readonly type: SocketType;
  /** For SUB: the beginnings of the topics that it wants. */
  readonly topics: readonly string[];
  /** The time after which the peer may give us up when it hears nothing, ms. */
  readonly ttlMs: number;
}

/** Longest context of a PING that is given back, bytes. */
const MAX_CONTEXT_BYTES = 16;

/** Which sockets of the other side each of ours may speak with. */
const PARTNERS: Readonly<Record<SocketType, readonly string[]>> = {
  SUB: ["PUB", "XPUB"],
  DEALER: ["ROUTER", "REP", "DEALER"],
};

/**
 * One connection to a ZeroMQ socket, as bytes in and bytes out; the socket itself belongs to the caller.
 *
 * ```
 *   greeting of both -> READY of both -> subscriptions (SUB) -> messages, PING and PONG
 * ```
 */
export class ZmtpPeer {
  readonly #settings: PeerSettings;
  readonly #owner: PeerOwner;
  readonly #reader: ZmtpReader;
  #minorVersion = 0;
  #isReady = false;

  constructor(settings: PeerSettings, owner: PeerOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#reader = new ZmtpReader(settings, {
      onGreeting: (minorVersion) => this.#onGreeting(minorVersion),
      onCommand: (name, data) => this.#onCommand(name, data),
      onMessage: (frames) => this.#onMessage(frames),
    });
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Bytes that it holds of what is not complete. */
  get heldBytes(): number {
    return this.#reader.heldBytes;
  }

  /** Writes our greeting: each side begins without waiting for the other. */
  open(): void {
    this.#owner.write(greeting());
  }

  /** Reads bytes of the peer. Throws ZmtpError; then the connection must be closed. */
  receive(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** Sends a message. Only when ready. */
  send(parts: readonly Uint8Array[]): void {
    this.#owner.write(message(parts));
  }

  /** Asks for a sign of life. Peers of version 3.0 need not know the question, so they are not asked. Returns whether it was sent. */
  ping(): boolean {
    if (!this.#isReady || this.#minorVersion < 1) return false;
    this.#owner.write(ping(this.#settings.ttlMs));
    return true;
  }

  #onGreeting(minorVersion: number): void {
    this.#minorVersion = minorVersion;
    this.#owner.write(ready(this.#settings.type));
  }

  #onCommand(name: string, data: Buffer): void {
    if (!this.#isReady) {
      this.#shakeHands(name, data);
    } else if (name === "PING") {
      // Two bytes of ttl, then a context that the answer gives back.
      this.#owner.write(command("PONG", data.subarray(2, 2 + MAX_CONTEXT_BYTES)));
    } else if (name === "ERROR") {
      throw new ZmtpError(`it reports the error ${JSON.stringify(reasonOf(data))}`);
    }
    // PONG is a sign of life like any other bytes. Other commands are of later versions.
  }

  #shakeHands(name: string, data: Buffer): void {
    if (name === "ERROR") throw new ZmtpError(`it refuses the handshake: ${JSON.stringify(reasonOf(data))}`);
    if (name !== "READY") throw new ZmtpError(`it sent ${JSON.stringify(name)} in place of READY`);
    const { type, topics } = this.#settings;
    const other = propertyOf(data, "socket-type");
    if (other === undefined || !PARTNERS[type].includes(other)) {
      throw new ZmtpError(
        `it is a socket of the type ${JSON.stringify(other ?? "")}, not ${PARTNERS[type].join(" or ")}`,
      );
    }
    this.#isReady = true;
    if (type === "SUB") for (const topic of topics) this.#owner.write(subscription(topic, this.#minorVersion));
    this.#owner.onReady();
  }

  #onMessage(frames: readonly Buffer[]): void {
    if (!this.#isReady) throw new ZmtpError("it sent a message before the handshake was over");
    this.#owner.onMessage(frames);
  }
}

function reasonOf(data: Buffer): string {
  return data.toString("utf8", 1, 1 + (data[0] ?? 0));
}

/** A property of READY by its name in lower case; undefined without it. Throws ZmtpError for properties that are cut. */
function propertyOf(data: Buffer, wanted: string): string | undefined {
  let at = 0;
  while (at < data.length) {
    const nameEnd = at + 1 + (data[at] ?? 0);
    if (nameEnd + 4 > data.length) throw new ZmtpError("its READY is cut");
    const valueEnd = nameEnd + 4 + data.readUInt32BE(nameEnd);
    if (valueEnd > data.length) throw new ZmtpError("its READY is cut");
    if (data.toString("latin1", at + 1, nameEnd).toLowerCase() === wanted) {
      return data.toString("latin1", nameEnd + 4, valueEnd);
    }
    at = valueEnd;
  }
  return undefined;
}

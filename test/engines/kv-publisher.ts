import type { Socket, TCPSocketListener } from "bun";
import { command, greeting, message } from "../../src/kv-events/zmtp/zmtp-frames.ts";
import { ZmtpReader } from "../../src/kv-events/zmtp/zmtp-reader.ts";
import { type Packable, writeMsgpack } from "../support/write-msgpack.ts";

/** Tokens of a block. */
const BLOCK_TOKENS = 16;
const END = Buffer.alloc(8, 0xff);
const LIMITS = { maxMessageBytes: 1_000_000 };

/** One connection, as the publisher's side of ZMTP. */
class Peer {
  readonly #socket: Socket<Peer>;
  readonly #type: string;
  readonly #reader: ZmtpReader;
  isSubscribed = false;

  constructor(socket: Socket<Peer>, type: string, onMessage: (peer: Peer, frames: readonly Buffer[]) => void) {
    this.#socket = socket;
    this.#type = type;
    this.#reader = new ZmtpReader(LIMITS, {
      onGreeting: () => undefined,
      onCommand: (name) => {
        if (name === "READY") this.#ready();
        if (name === "SUBSCRIBE") this.isSubscribed = true;
      },
      onMessage: (frames) => onMessage(this, frames),
    });
    socket.write(greeting());
  }

  read(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  write(...parts: readonly Uint8Array[]): void {
    this.#socket.write(message(parts));
  }

  #ready(): void {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(this.#type.length);
    const name = "Socket-Type";
    this.#socket.write(
      command("READY", Buffer.concat([Buffer.of(name.length), Buffer.from(name), value, Buffer.from(this.#type)])),
    );
  }
}

/** Publishes KV events as an engine does, in this process: what it stores, removes and clears is what a test says. */
export class KvPublisher implements Disposable {
  readonly #topic: Buffer;
  readonly #live: TCPSocketListener<Peer>;
  readonly #replay: TCPSocketListener<Peer>;
  readonly #peers = new Set<Peer>();
  #kept: Buffer[] = [];
  /** Whether live batches are dropped, and only the replay has them. */
  isMute = false;

  constructor(topic = "kv@w", ports: { readonly live?: number; readonly replay?: number } = {}) {
    this.#topic = Buffer.from(topic);
    this.#live = this.#listen("XPUB", ports.live ?? 0, () => undefined);
    this.#replay = this.#listen("ROUTER", ports.replay ?? 0, (peer, frames) => this.#answer(peer, frames));
  }

  get ports(): { readonly live: number; readonly replay: number } {
    return { live: this.#live.port, replay: this.#replay.port };
  }

  /** For the configuration of the gateway. */
  get settings(): {
    readonly endpoint: string;
    readonly replayEndpoint: string;
    readonly topic: string;
    readonly ranks: number;
  } {
    const { live, replay } = this.ports;
    return { endpoint: `tcp://127.0.0.1:${live}`, replayEndpoint: `tcp://127.0.0.1:${replay}`, topic: "kv@", ranks: 1 };
  }

  /** The engine has prefilled these tokens. */
  store(tokens: ArrayLike<number>): void {
    const ids = Array.from(tokens).slice(0, tokens.length - (tokens.length % BLOCK_TOKENS));
    this.#publish({
      type: "BlockStored",
      block_hashes: keysOf(ids),
      parent_block_hash: null,
      token_ids: ids,
      block_size: BLOCK_TOKENS,
      lora_id: null,
      medium: "GPU",
    });
  }

  /** The engine has evicted the blocks of these tokens from block `from` on. */
  remove(tokens: ArrayLike<number>, from = 0): void {
    const keys = keysOf(Array.from(tokens)).slice(from);
    for (const key of keys.toReversed()) this.#publish({ type: "BlockRemoved", block_hashes: [key], medium: "GPU" });
  }

  clear(): void {
    this.#publish({ type: "AllBlocksCleared" });
  }

  [Symbol.dispose](): void {
    this.#live.stop(true);
    this.#replay.stop(true);
  }

  #publish(event: Packable): void {
    const payload = writeMsgpack([1.5, [event], 0]);
    this.#kept.push(payload);
    if (this.isMute) return;
    for (const peer of this.#peers)
      if (peer.isSubscribed) peer.write(this.#topic, numberOf(this.#kept.length - 1), payload);
  }

  #answer(peer: Peer, frames: readonly Buffer[]): void {
    const from = Number(frames[1]?.readBigUInt64BE() ?? 0n);
    for (const [number, payload] of this.#kept.entries()) {
      if (number >= from) peer.write(Buffer.alloc(0), this.#topic, numberOf(number), payload);
    }
    peer.write(Buffer.alloc(0), Buffer.alloc(0), END, Buffer.alloc(0));
  }

  #listen(
    type: string,
    port: number,
    onMessage: (peer: Peer, frames: readonly Buffer[]) => void,
  ): TCPSocketListener<Peer> {
    return Bun.listen<Peer>({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => {
          socket.data = new Peer(socket, type, onMessage);
          this.#peers.add(socket.data);
        },
        data: (socket, bytes) => socket.data.read(bytes),
        close: (socket) => void this.#peers.delete(socket.data),
      },
    });
  }
}

function numberOf(sequence: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(sequence));
  return bytes;
}

/** The engine's hashes: of 64 bits, by all tokens up to the block's end. */
function keysOf(ids: readonly number[]): bigint[] {
  return Array.from({ length: Math.floor(ids.length / BLOCK_TOKENS) }, (_, at) =>
    Bun.hash(ids.slice(0, (at + 1) * BLOCK_TOKENS).join()),
  );
}

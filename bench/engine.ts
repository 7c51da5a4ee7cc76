/**
 * The engine behind every gateway in the benchmarks: answers at once and costs next to nothing, so that what is measured is
 * the gateway. A short message says what is wanted: `stream TOKENS INTERVAL_MS` where the body asks for a stream, `wait MS` for
 * an answer in JSON after a while, else one at once. It takes either leg of a prefill/decode pair, as vLLM does.
 *
 *   bun bench/engine.ts FIRST_PORT PORTS [ADDRESSES]
 *
 * listens on each of the ports of each of the addresses, all of loopback: a fleet in one process.
 */
import type { Socket, SocketHandler } from "bun";
import { FIRST_EVENT, JSON_ANSWER, page, STREAM_END, STREAM_HEAD, TOKEN_EVENT } from "./lib/engine-answers.ts";
import { loopbackAddresses } from "./lib/loopback.ts";
import { Pacer } from "./lib/pacer.ts";

const pacer = new Pacer();
const EMPTY = Buffer.alloc(0);
const HEAD_END = "\r\n\r\n";
const CHUNKS_END = Buffer.from("0\r\n\r\n");
const ASKS_FOR_STREAM = '"stream":true';
const ORDER = /\b(stream|wait) (\d+)(?: (\d+))?/;
/** What is longer is a prompt, and does not say what is wanted. */
const MAX_ORDER_BYTES = 4096;

/** Finds the requests on a connection and writes the answers. */
class Connection {
  readonly #socket: Socket<Connection>;
  #buffered: Buffer = EMPTY;
  #path = "";
  /** Bytes of the body that are still to come; undefined while the head is. */
  #left: number | undefined;
  #isChunked = false;
  #order: Buffer = EMPTY;
  #tokensLeft = 0;
  #unsent: Uint8Array = EMPTY;
  #isClosed = false;

  constructor(socket: Socket<Connection>) {
    this.#socket = socket;
  }

  received(bytes: Buffer): void {
    if (this.#left === undefined)
      this.#head(this.#buffered.length > 0 ? Buffer.concat([this.#buffered, bytes]) : bytes);
    else this.#body(bytes);
  }

  drained(): void {
    if (this.#unsent.length > 0) this.#write(EMPTY);
  }

  closed(): void {
    this.#isClosed = true;
  }

  #head(bytes: Buffer): void {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) {
      this.#buffered = Buffer.from(bytes);
      return;
    }
    this.#buffered = EMPTY;
    const head = bytes.toString("latin1", 0, end);
    this.#path = head.startsWith("POST ") ? "" : head.slice(head.indexOf(" ") + 1, head.indexOf(" HTTP/"));
    this.#isChunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    this.#order = EMPTY;
    this.#body(bytes.subarray(end + HEAD_END.length));
  }

  #body(bytes: Buffer): void {
    if (this.#order.length < MAX_ORDER_BYTES) {
      this.#order = this.#order.length > 0 ? Buffer.concat([this.#order, bytes]) : Buffer.from(bytes);
    }
    this.#left = (this.#left ?? 0) - bytes.length;
    const isWhole = this.#isChunked ? bytes.subarray(-CHUNKS_END.length).equals(CHUNKS_END) : this.#left <= 0;
    if (!isWhole) return;
    this.#left = undefined;
    this.#answer();
  }

  #answer(): void {
    if (this.#path !== "") {
      this.#write(page(this.#path));
      return;
    }
    const text = this.#order.length < MAX_ORDER_BYTES ? this.#order.toString("latin1") : "";
    const [word, first, second] = ORDER.exec(text)?.slice(1) ?? [];
    if (word === "stream" && text.includes(ASKS_FOR_STREAM)) this.#stream(Number(first), Number(second));
    else if (word === "wait") setTimeout(() => this.#isClosed || this.#write(JSON_ANSWER), Number(first));
    else this.#write(JSON_ANSWER);
  }

  #stream(tokens: number, intervalMs: number): void {
    this.#tokensLeft = tokens;
    this.#write(Buffer.concat([STREAM_HEAD, FIRST_EVENT]));
    pacer.add({ step: () => this.#token() }, intervalMs);
  }

  /** One write a token, as engines do it. A reader that is behind gets none until it has caught up. */
  #token(): boolean {
    if (this.#isClosed) return false;
    if (this.#unsent.length > 0) return true;
    this.#tokensLeft -= 1;
    this.#write(TOKEN_EVENT);
    if (this.#tokensLeft <= 0) this.#write(STREAM_END);
    return this.#tokensLeft > 0;
  }

  #write(bytes: Uint8Array): void {
    const all = this.#unsent.length > 0 ? Buffer.concat([this.#unsent, bytes]) : bytes;
    const written = Math.max(0, this.#socket.write(all));
    this.#unsent = written < all.length ? Buffer.from(all.subarray(written)) : EMPTY;
  }
}

const HANDLERS: SocketHandler<Connection> = {
  binaryType: "buffer",
  open: (socket) => {
    socket.data = new Connection(socket);
    socket.setNoDelay(true);
  },
  data: (socket, bytes) => socket.data.received(bytes),
  drain: (socket) => socket.data.drained(),
  close: (socket) => socket.data.closed(),
};

const [firstPort = 0, ports = 1, addresses = 1] = process.argv.slice(2).map(Number);
for (const hostname of loopbackAddresses(addresses)) {
  for (let port = firstPort; port < firstPort + ports; port += 1) Bun.listen({ hostname, port, socket: HANDLERS });
}
console.log("listening");

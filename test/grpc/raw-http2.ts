import type { Socket } from "bun";

export const FRAME = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;

/** A frame as it came. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
}

export interface RawHttp2Options {
  /** Called for each request when its headers have come. */
  readonly onRequest?: (connection: RawHttp2Connection, streamId: number) => void;
  /** Called when the connection is open, in place of the server's SETTINGS. */
  readonly onOpen?: (connection: RawHttp2Connection) => void;
  /** Settings to announce: pairs of identifier and value. */
  readonly settings?: readonly (readonly [number, number])[];
  /** Whether it answers PING; true if not said. */
  readonly answersPing?: boolean;
}

export interface RawHttp2Server extends AsyncDisposable {
  readonly origin: string;
  readonly connections: readonly RawHttp2Connection[];
}

/** An HTTP/2 server on a bare socket that writes whatever frames it is told to, right or wrong. */
export async function startRawHttp2(options: RawHttp2Options): Promise<RawHttp2Server> {
  const connections: RawHttp2Connection[] = [];
  const server = Bun.listen<RawHttp2Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = new RawHttp2Connection(socket, options);
        connections.push(socket.data);
        if (options.onOpen) options.onOpen(socket.data);
        else socket.data.settings(options.settings ?? []);
      },
      data: (socket, bytes) => socket.data.received(bytes),
      drain: (socket) => socket.data.drained(),
      close: (socket) => socket.data.onClosed(),
    },
  });
  return {
    origin: `grpc://127.0.0.1:${server.port}`,
    connections,
    [Symbol.asyncDispose]: async () => server.stop(true),
  };
}

export class RawHttp2Connection {
  readonly closed: Promise<void>;
  /** Frames from the client so far. */
  readonly frames: RawFrame[] = [];
  readonly #closed = Promise.withResolvers<void>();
  readonly #socket: Socket<RawHttp2Connection>;
  readonly #options: RawHttp2Options;
  #buffered = Buffer.alloc(0);
  #unsent = Buffer.alloc(0);
  #hasPreface = false;
  #waiters: { readonly wants: (frame: RawFrame) => boolean; readonly resolve: (frame: RawFrame) => void }[] = [];

  constructor(socket: Socket<RawHttp2Connection>, options: RawHttp2Options) {
    this.#socket = socket;
    this.#options = options;
    this.closed = this.#closed.promise;
  }

  received(bytes: Uint8Array): void {
    this.#buffered = Buffer.concat([this.#buffered, bytes]);
    if (!this.#hasPreface) {
      if (this.#buffered.length < PREFACE_BYTES) return;
      this.#hasPreface = true;
      this.#buffered = this.#buffered.subarray(PREFACE_BYTES);
    }
    while (this.#buffered.length >= FRAME_HEAD_BYTES) {
      const end = FRAME_HEAD_BYTES + this.#buffered.readUIntBE(0, 3);
      if (this.#buffered.length < end) return;
      const frame = {
        type: this.#buffered.readUInt8(3),
        flags: this.#buffered.readUInt8(4),
        streamId: this.#buffered.readUInt32BE(5),
        payload: this.#buffered.subarray(FRAME_HEAD_BYTES, end),
      };
      this.#buffered = this.#buffered.subarray(end);
      this.#take(frame);
    }
  }

  /** The first frame, come or to come, that is wanted. */
  saw(wants: (frame: RawFrame) => boolean): Promise<RawFrame> {
    const known = this.frames.find(wants);
    if (known) return Promise.resolve(known);
    return new Promise((resolve) => this.#waiters.push({ wants, resolve }));
  }

  settings(pairs: readonly (readonly [number, number])[]): void {
    const payload = Buffer.alloc(pairs.length * 6);
    pairs.forEach(([id, value], index) => {
      payload.writeUInt16BE(id, index * 6);
      payload.writeUInt32BE(value, index * 6 + 2);
    });
    this.frame(FRAME.settings, 0, 0, payload);
  }

  headers(streamId: number, fields: Readonly<Record<string, string>>, endStream = false): void {
    this.frame(FRAME.headers, END_HEADERS | (endStream ? END_STREAM : 0), streamId, hpack(fields));
  }

  /** The head of a good answer. */
  accept(streamId: number): void {
    this.headers(streamId, { ":status": "200", "content-type": "application/grpc" });
  }

  data(streamId: number, payload: Uint8Array, endStream = false): void {
    this.frame(FRAME.data, endStream ? END_STREAM : 0, streamId, payload);
  }

  /** One whole gRPC message. */
  message(streamId: number, body: Uint8Array): void {
    this.data(streamId, grpcMessage(body));
  }

  trailers(streamId: number, status: number, message?: string): void {
    const fields = { "grpc-status": String(status), ...(message === undefined ? {} : { "grpc-message": message }) };
    this.headers(streamId, fields, true);
  }

  reset(streamId: number, code: number): void {
    this.frame(FRAME.rstStream, 0, streamId, uint32(code));
  }

  goaway(lastStreamId: number, code: number, words = ""): void {
    this.frame(FRAME.goaway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(words)]));
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    const head = Buffer.alloc(FRAME_HEAD_BYTES);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(streamId, 5);
    this.write(Buffer.concat([head, payload]));
  }

  write(bytes: Uint8Array): void {
    this.#unsent = Buffer.concat([this.#unsent, bytes]);
    this.drained();
  }

  drained(): void {
    const written = Math.max(0, this.#socket.write(this.#unsent));
    this.#unsent = this.#unsent.subarray(written);
  }

  /** Ends the connection in order. */
  end(): void {
    this.#socket.end();
  }

  /** Breaks it. */
  destroy(): void {
    this.#socket.terminate();
  }

  onClosed(): void {
    this.#closed.resolve();
  }

  #take(frame: RawFrame): void {
    this.frames.push(frame);
    const met = this.#waiters.filter(({ wants }) => wants(frame));
    this.#waiters = this.#waiters.filter((waiter) => !met.includes(waiter));
    for (const { resolve } of met) resolve(frame);
    if (frame.type === FRAME.settings && frame.flags === 0) this.frame(FRAME.settings, ACK, 0, new Uint8Array(0));
    if (frame.type === FRAME.ping && frame.flags === 0 && this.#options.answersPing !== false) {
      this.frame(FRAME.ping, ACK, 0, frame.payload);
    }
    if (frame.type === FRAME.headers) this.#options.onRequest?.(this, frame.streamId);
  }
}

/** A message with the five bytes that gRPC puts before it. */
export function grpcMessage(body: Uint8Array, flag = 0): Uint8Array {
  return Buffer.concat([Uint8Array.of(flag), uint32(body.length), body]);
}

/** Literal header fields without indexing: the plainest form of HPACK. */
function hpack(fields: Readonly<Record<string, string>>): Uint8Array {
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) => [Uint8Array.of(0), hpackText(name), hpackText(value)]),
  );
}

function hpackText(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  const prefix: number[] = [];
  if (bytes.length < 127) prefix.push(bytes.length);
  else {
    prefix.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) prefix.push((rest % 128) + 128);
    prefix.push(rest);
  }
  return Buffer.concat([Uint8Array.from(prefix), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

import { errorMessage } from "../../../src/util/error-message.ts";
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";

const PREFIX_BYTES = 5;

/** gRPC status codes that engines use. */
export const STATUS = {
  invalidArgument: 3,
  notFound: 5,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** Ends a call with a status. */
export class RpcError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface RpcCall {
  /** Lower-case names; pseudo headers left out. */
  readonly metadata: Readonly<Record<string, string>>;
  /** `grpc-timeout` as it came. */
  readonly timeout: string | undefined;
  /** Aborted when the other side cancels or its connection ends. */
  readonly signal: AbortSignal;
  /** Ends the call by RST_STREAM. */
  reset(): void;
}

/** Gives the messages of the answer; one for a unary method. Throws RpcError to end with another status than OK. */
export type RpcHandler = (request: Uint8Array, call: RpcCall) => AsyncIterable<Uint8Array>;

export interface RpcServer {
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** As if the process were killed: nothing is said to anyone. */
  die(): void;
  /** GOAWAY to everyone: what runs ends, nothing new is taken. */
  drain(): void;
}

/** A gRPC server of unary methods and server streams, on loopback. `tls`: its certificate, and the authority of those that it wants to see. */
export function startRpcServer(
  port: number,
  handlers: ReadonlyMap<string, RpcHandler>,
  tls?: { readonly cert: string; readonly key: string; readonly ca: string },
): Promise<RpcServer> {
  const sessions = new Set<ServerHttp2Session>();
  // Clients that leave by the hundred are what it is there for, not an attack.
  const server = tls
    ? createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true })
    : createServer({ streamResetBurst: 1_000_000, streamResetRate: 1_000_000 });
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    void answer(stream, headers, handlers);
  });
  const { promise, resolve, reject } = Promise.withResolvers<RpcServer>();
  server.on("error", reject);
  server.listen(port, "127.0.0.1", () => {
    const address = server.address();
    resolve({
      port: typeof address === "object" && address ? address.port : port,
      get connections() {
        return sessions.size;
      },
      die() {
        server.close();
        for (const session of sessions) session.destroy();
      },
      drain() {
        server.close();
        for (const session of sessions) session.close();
      },
    });
  });
  return promise;
}

async function answer(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  handlers: ReadonlyMap<string, RpcHandler>,
): Promise<void> {
  const controller = new AbortController();
  stream.on("error", () => undefined);
  stream.on("close", () => controller.abort());
  const path = headers[":path"] ?? "";
  const handler = handlers.get(path);
  const body = await requestOf(stream);
  if (stream.destroyed) return;
  if (!handler) {
    end(stream, STATUS.unimplemented, `unknown method ${path}`);
    return;
  }
  const timeout = headers["grpc-timeout"];
  const call: RpcCall = {
    metadata: metadataOf(headers),
    timeout: typeof timeout === "string" ? timeout : undefined,
    signal: controller.signal,
    // Not close(code): on the side of the server it ends the stream in order, whatever the code (Bun 1.4.5).
    reset: () => stream.destroy(new Error("reset")),
  };
  try {
    for await (const message of handler(body, call)) {
      if (stream.destroyed || stream.closed) return;
      if (!stream.headersSent) respond(stream);
      if (!stream.write(framed(message))) await drained(stream);
    }
    end(stream, 0, "");
  } catch (error) {
    if (error instanceof RpcError) end(stream, error.status, error.message);
    else end(stream, STATUS.internal, errorMessage(error));
  }
}

function metadataOf(headers: IncomingHttpHeaders): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === "string" && !name.startsWith(":")) metadata[name] = value;
  }
  return metadata;
}

async function requestOf(stream: ServerHttp2Stream): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  stream.on("data", (piece: Uint8Array) => pieces.push(piece));
  await new Promise<void>((resolve) => {
    stream.once("end", resolve);
    stream.once("close", resolve);
  });
  const bytes = Buffer.concat(pieces);
  const message = bytes.subarray(PREFIX_BYTES);
  return bytes[0] === 1 ? Bun.gunzipSync(message) : message;
}

function respond(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
}

function end(stream: ServerHttp2Stream, status: number, message: string): void {
  if (stream.destroyed || stream.closed) return;
  const trailers = {
    "grpc-status": String(status),
    ...(message === "" ? undefined : { "grpc-message": encodeURIComponent(message) }),
  };
  if (stream.headersSent) {
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end();
  } else {
    stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers }, { endStream: true });
  }
}

function framed(message: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

function drained(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("drain", resolve);
    stream.once("close", resolve);
  });
}

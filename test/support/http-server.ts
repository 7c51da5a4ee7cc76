import { asGatewayError } from "../../src/errors/errors.ts";
import { type ClientRequest, type Reply, type ReplySink, textReply } from "../../src/transport/downstream.ts";
import { HttpServer, type HttpServerOptions } from "../../src/transport/http1-server/http-server.ts";

interface StartedHttpServer extends Disposable {
  readonly server: HttpServer;
  readonly url: string;
  /** What was told as a defect of ours. */
  readonly defects: unknown[];
  /** Codes of what was refused without a handler. */
  readonly refused: string[];
}

/** Only the server, with a handler in place of the gateway. An error that the handler throws is answered with its code. */
export function startHttpServer(
  handle: (request: ClientRequest) => Promise<Reply> | Reply,
  options: Partial<
    Pick<
      HttpServerOptions,
      "idleMs" | "screen" | "maxPerAddress" | "maxConnections" | "account" | "clock" | "tls" | "onHandshake"
    >
  > = {},
): StartedHttpServer {
  const defects: unknown[] = [];
  const refused: string[] = [];
  const server = new HttpServer({
    hostname: "127.0.0.1",
    port: 0,
    reusePort: false,
    idleMs: 60_000,
    maxPerAddress: Number.POSITIVE_INFINITY,
    ...options,
    async handle(request) {
      try {
        return await handle(request);
      } catch (thrown) {
        const error = asGatewayError(thrown);
        return textReply(error.code, { status: error.status });
      }
    },
    refuse(error) {
      refused.push(error.code);
      return textReply(error.code, { status: error.status });
    },
    onDefect: (error) => defects.push(error),
  });
  return {
    server,
    url: `http://127.0.0.1:${server.port}`,
    defects,
    refused,
    [Symbol.dispose]: () => server.stop(),
  };
}

/** Throws what `read` throws. */
export async function bodyOf(request: ClientRequest): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = await request.read();
    if (!piece) return Buffer.concat(pieces);
    pieces.push(piece);
  }
}

export function streamReply(run: (sink: ReplySink) => Promise<void>): Reply {
  return { status: 200, headers: { "content-type": "text/plain" }, body: { run } };
}

/** What there is to be said of a request, in the order in which it stands there. */
export async function echo(request: ClientRequest): Promise<Reply> {
  const body = await bodyOf(request);
  return textReply([request.method, request.path, request.query, body.toString("latin1")].join(" "));
}

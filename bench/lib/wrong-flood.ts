/** A flood of wrong keys, and a server that answers it without a look at anything. Each is run in a process of its own by `bench/wrong-keys.ts`. */
import { TEST_PAIRS } from "../../test/support/tls.ts";

const HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json";
/** The body of all requests of the bench. */
export const BODY: string = JSON.stringify({
  model: "sim-1",
  messages: [{ role: "user", content: "x" }],
  max_tokens: 1,
});
/** Connections that are kept, how many requests may be without an answer, and how often some are sent, ms. */
const LANES = 16;
const MOST_UNANSWERED = 320;
const TICK_MS = 1;

export interface FloodOptions {
  readonly port: number;
  readonly secs: number;
  readonly perSec: number;
  /** Each wrong key comes over a connection of its own, which is closed when it is refused. */
  readonly isFresh: boolean;
  readonly isTls: boolean;
  /** A token of the issuer, of which each wrong key is one with another signature; undefined for keys of the gateway's own form. */
  readonly token: string | undefined;
}

type Sender = Pick<Bun.Socket, "write">;

interface Handlers {
  open?(socket: Sender): void;
  handshake?(socket: Sender): void;
  data(socket: { end(): void }, bytes: Buffer): void;
  close?(): void;
}

/** Sends wrong keys for so many seconds. Prints how many were answered. */
export async function flood(options: FloodOptions): Promise<void> {
  const { port, secs, perSec, isFresh, isTls, token } = options;
  let answers = 0;
  const count = (bytes: Buffer): void => {
    answers += bytes.toString("latin1").split("HTTP/1.1 4").length - 1;
  };
  const tls = isTls ? { tls: { rejectUnauthorized: false } } : {};
  const connect = (socket: Handlers): Promise<Sender> => Bun.connect({ hostname: "127.0.0.1", port, ...tls, socket });
  const message = messages(token);
  const lanes = await Promise.all(
    Array.from({ length: isFresh ? 0 : LANES }, () => connect({ data: (_socket, bytes) => count(bytes) })),
  );
  /** Requests whose connection is gone, whether it was answered or not. */
  let over = 0;
  const send = (at: number): void => {
    if (!isFresh) {
      lanes[at % LANES]?.write(message(at));
      return;
    }
    const ask = (socket: Sender): void => void socket.write(message(at));
    const opened = connect({
      ...(isTls ? { handshake: ask } : { open: ask }),
      data(socket, bytes) {
        count(bytes);
        socket.end();
      },
      close: () => (over += 1),
    });
    opened.catch(() => (over += 1));
  };
  const startedAt = performance.now();
  let sent = 0;
  for (let now = startedAt; now - startedAt < secs * 1000; now = performance.now()) {
    const due = Math.min(((now - startedAt) * perSec) / 1000, (isFresh ? over : answers) + MOST_UNANSWERED);
    for (; sent < due; sent += 1) send(sent);
    await Bun.sleep(TICK_MS);
  }
  console.log(answers);
  process.exit(0);
}

/** Makes the bytes of each request. */
function messages(token: string | undefined): (at: number) => Uint8Array {
  if (token === undefined) {
    const bytes = messageWith(`pm-${"a".repeat(12)}-${"b".repeat(43)}`);
    return () => bytes;
  }
  const [head, claims] = token.split(".");
  return (at) => messageWith(`${head}.${claims}.${Buffer.alloc(64, `${process.pid} ${at} `).toString("base64url")}`);
}

function messageWith(key: string): Uint8Array {
  return Buffer.from(
    `${HEAD}\r\nauthorization: Bearer ${key}\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
    "latin1",
  );
}

/** Answers everything with 401 and looks at nothing. Prints its port. */
export function serveBare(isTls: boolean): void {
  const body = JSON.stringify({ error: { message: "no", type: "invalid_request_error", param: null, code: "no" } });
  const { port } = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(isTls ? { tls: TEST_PAIRS.first } : {}),
    fetch: () => new Response(body, { status: 401, headers: { "content-type": "application/json" } }),
  });
  console.log(port);
}

import type { Socket } from "bun";

/** What a client of the soak asks for, and when it leaves. */
export interface Visit {
  readonly kind: "json" | "stream" | "big";
  /** The whole request. */
  readonly request: Uint8Array;
  /** Bytes of the request after which it leaves; undefined where it sends all of it. */
  readonly leaveAfterBytes: number | undefined;
  /** Time after which it leaves, ms; undefined where it stays to the end. */
  readonly leaveAfterMs: number | undefined;
}

/** How it ended: `ok`, `left`, or the code of the error. */
export type VisitOutcome = string;

/** Longest that anybody waits, ms. */
const PATIENCE_MS = 30_000;

/** One client on a connection of its own. Resolves with how it ended; the connection is closed then. */
export async function visit(origin: string, { request, leaveAfterBytes, leaveAfterMs }: Visit): Promise<VisitOutcome> {
  const { promise, resolve } = Promise.withResolvers<VisitOutcome>();
  const { hostname, port, protocol } = new URL(origin);
  const isTls = protocol === "https:";
  let unsent = request.subarray(0, leaveAfterBytes);
  let received = "";
  const send = (socket: Socket): void => {
    unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
    if (unsent.length === 0 && leaveAfterBytes !== undefined) resolve("left");
  };
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    ...(isTls ? { tls: { rejectUnauthorized: false } } : {}),
    socket: {
      open: (socket) => {
        if (!isTls) send(socket);
      },
      handshake: send,
      drain: (socket) => {
        if (unsent.length > 0) send(socket);
      },
      data: (_socket, bytes) => {
        received += bytes.toString("latin1");
        const outcome = outcomeOf(received);
        if (outcome !== undefined) resolve(outcome);
      },
      close: () => resolve("connection_lost"),
      error: () => resolve("connection_lost"),
    },
  });
  const timer = setTimeout(
    () => resolve(leaveAfterMs === undefined ? "no_answer" : "left"),
    leaveAfterMs ?? PATIENCE_MS,
  );
  const outcome = await promise;
  clearTimeout(timer);
  socket.terminate();
  return outcome;
}

/** Undefined while the answer is not whole. */
function outcomeOf(received: string): VisitOutcome | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = received.slice(0, end);
  const body = received.slice(end + 4);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  const isWhole = length === undefined ? body.endsWith("\r\n0\r\n\r\n") : body.length >= Number(length);
  if (!isWhole) return undefined;
  const isStream = /\r\ncontent-type: *text\/event-stream/i.test(head);
  if (head.slice(9, 12) === "200" && (!isStream || body.includes("[DONE]"))) return "ok";
  return /"code": *"(\w+)"/.exec(body)?.[1] ?? `status_${head.slice(9, 12)}_without_code`;
}

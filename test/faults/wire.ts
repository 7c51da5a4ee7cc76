import type { Socket } from "bun";

/** A client's connection for bytes that no HTTP client would send. */
export interface Wire extends Disposable {
  /** Everything that came so far, a character a byte. */
  readonly received: string;
  /** The other side has closed, or broken, the connection. */
  readonly isClosed: boolean;
  readonly closed: Promise<void>;
  /** Resolves when the kernel has taken the bytes, or never will. */
  write(bytes: string | Uint8Array): Promise<void>;
  /** Sends FIN and goes on reading. */
  finish(): void;
  /** Resolves with what came, when it contains the text or the connection ends. */
  until(text: string): Promise<string>;
  /** Resolves with the answers, when there are so many, the connection ends, or the time is over. */
  answers(count: number, withinMs?: number): Promise<readonly WireAnswer[]>;
  /** Resolves with the next bytes, or with the end. */
  more(): Promise<void>;
  /** Drops what came so far. */
  forget(): void;
  pause(): void;
  hangUp(): void;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** For answers that come at once where they come at all, ms. */
const WAIT_MS = 3000;

export async function openWire(url: string, bytes: string | Uint8Array = ""): Promise<Wire> {
  const { hostname, port } = new URL(url);
  let received = "";
  let isClosed = false;
  let waiting: (() => boolean)[] = [];
  let unsent: Uint8Array = new Uint8Array(0);
  let onSent: (() => void) | undefined;
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const look = (): void => {
    waiting = waiting.filter((isDone) => !isDone());
  };
  const end = (): void => {
    isClosed = true;
    onSent?.();
    onClosed();
    look();
  };
  const push = (socket: Socket): void => {
    unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
    if (unsent.length === 0) onSent?.();
  };
  const socket: Socket = await Bun.connect({
    hostname,
    port: Number(port),
    allowHalfOpen: true,
    socket: {
      data(_socket, piece) {
        received += piece.toString("latin1");
        look();
      },
      drain: push,
      end,
      close: end,
      error: end,
    },
  });
  const until = <T>(read: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      waiting.push(() => {
        const value = read();
        if (value !== undefined) resolve(value);
        return value !== undefined;
      });
      look();
    });
  const wire: Wire = {
    get received() {
      return received;
    },
    get isClosed() {
      return isClosed;
    },
    closed,
    write: (more) =>
      new Promise((resolve) => {
        if (isClosed) return resolve();
        unsent = Buffer.concat([unsent, typeof more === "string" ? Buffer.from(more, "latin1") : more]);
        onSent = resolve;
        push(socket);
      }),
    finish: () => socket.shutdown(),
    until: (text) => until(() => (isClosed || received.includes(text) ? received : undefined)),
    async answers(count, withinMs = WAIT_MS) {
      const isThere = until(() => {
        const finals = answersIn(received, isClosed).filter(({ status }) => status >= 200);
        return isClosed || finals.length >= count ? true : undefined;
      });
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, withinMs);
      await Promise.race([isThere, late]);
      clearTimeout(timer);
      return answersIn(received, isClosed);
    },
    more() {
      const { length } = received;
      return until(() => (isClosed || received.length > length ? true : undefined)).then(() => undefined);
    },
    forget() {
      received = "";
    },
    pause: () => socket.pause(),
    hangUp: () => socket.terminate(),
    [Symbol.dispose]: () => {
      socket.end();
    },
  };
  if (bytes.length > 0) await wire.write(bytes);
  return wire;
}

/** Sends the bytes on a connection of their own and reads `count` answers, or until it is closed. */
export async function exchange(url: string, bytes: string | Uint8Array, count = 1): Promise<readonly WireAnswer[]> {
  using wire = await openWire(url, bytes);
  return await wire.answers(count);
}

/** A request line with headers; a Host stands first. */
export function head(start: string, headers: readonly string[]): string {
  return `${[`${start} HTTP/1.1`, "host: gateway", ...headers].join("\r\n")}\r\n\r\n`;
}

/** A POST of JSON with its length. */
export function jsonPost(path: string, body: unknown, headers: readonly string[] = []): string {
  const text = Buffer.from(typeof body === "string" ? body : JSON.stringify(body)).toString("latin1");
  return `${head(`POST ${path}`, ["content-type: application/json", ...headers, `content-length: ${text.length}`])}${text}`;
}

/** The answers that are whole; at the end of the connection also one whose body only that ends. */
function answersIn(received: string, isClosed: boolean): WireAnswer[] {
  const answers: WireAnswer[] = [];
  let rest = received;
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return answers;
    const [line = "", ...fields] = rest.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1] ?? 0);
    const headers = new Headers(
      fields.map((field) => [field.slice(0, field.indexOf(":")), field.slice(field.indexOf(":") + 1).trim()]),
    );
    const framed = bodyOf(rest.slice(end + 4), status, headers, isClosed);
    if (!framed) return answers;
    answers.push({ status, headers, body: framed.body });
    rest = framed.rest;
  }
}

function bodyOf(
  text: string,
  status: number,
  headers: Headers,
  isClosed: boolean,
): { readonly body: string; readonly rest: string } | undefined {
  if (status < 200) return { body: "", rest: text };
  const length = headers.get("content-length");
  if (length !== null) {
    return text.length < Number(length) ? undefined : { body: text.slice(0, +length), rest: text.slice(+length) };
  }
  if (headers.get("transfer-encoding") !== "chunked") return isClosed ? { body: text, rest: "" } : undefined;
  let body = "";
  let at = 0;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    at = lineEnd + 2 + size + 2;
    if (text.length < at) return undefined;
    if (size === 0) return { body, rest: text.slice(at) };
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
  }
}

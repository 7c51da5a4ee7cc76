import { errorMessage } from "../../util/error-message.ts";
import type { Socket, SocketHandler } from "bun";

/** Where a socket connects to, or is bound. */
export interface TcpAddress {
  readonly hostname: string;
  readonly port: number;
}

/** One open connection. */
export interface TcpSocket {
  /** Writes all of it, now or as the peer takes it. */
  write(bytes: Uint8Array): void;
  /** Stops and goes on reading. */
  pause(): void;
  resume(): void;
  /** Closes it; `onClose` is not called then. */
  close(): void;
}

/** What happens on one connection. `onClose` is called once, unless we closed it. */
export interface TcpEvents {
  onOpen(socket: TcpSocket): void;
  onData(bytes: Uint8Array): void;
  onClose(reason: string): void;
}

/** The network, so that tests can play it. */
export interface Tcp {
  /** Connects. Where that fails, only `onClose` is called. */
  connect(address: TcpAddress, events: TcpEvents): void;
  /** Listens; `accept` gives the events of each connection. Throws where the address is not available. The result ends it. */
  listen(address: TcpAddress, accept: () => TcpEvents): Disposable;
}

/** How long a connection is silent before the system asks whether the peer is there, ms. */
const KEEP_ALIVE_MS = 10_000;
/** Most bytes that wait for a peer that does not read. The gateway sends little more than subscriptions. */
const MAX_UNSENT_BYTES = 1_048_576;

/** The connections of `Bun.connect` and `Bun.listen`. */
export const tcp: Tcp = {
  connect(address, events) {
    const link = new Link(events);
    Bun.connect<Link>({ ...address, socket: { ...HANDLERS, open: (socket) => link.opened(socket) }, data: link }).catch(
      (error: unknown) => link.ended(errorMessage(error)),
    );
  },
  listen(address, accept) {
    const links = new Set<Link>();
    const listener = Bun.listen<Link>({
      ...address,
      socket: {
        ...HANDLERS,
        open(socket) {
          const link = new Link(accept());
          links.add(link);
          link.onOver = () => links.delete(link);
          socket.data = link;
          link.opened(socket);
        },
      },
    });
    return {
      [Symbol.dispose]() {
        listener.stop();
        for (const link of links) link.close();
      },
    };
  },
};

const HANDLERS: SocketHandler<Link> = {
  binaryType: "buffer",
  data: (socket, bytes) => socket.data.received(bytes),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.ended("it closed the connection"),
  close: (socket, error) => socket.data.ended(error ? error.message : "it closed the connection"),
  error: (socket, error) => socket.data.ended(error.message),
  connectError: () => undefined,
};

class Link implements TcpSocket {
  /** Called when the connection is over, whoever ended it. */
  onOver: () => void = () => undefined;
  readonly #events: TcpEvents;
  #socket: Socket<Link> | undefined;
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #isOver = false;

  constructor(events: TcpEvents) {
    this.#events = events;
  }

  opened(socket: Socket<Link>): void {
    this.#socket = socket;
    // Nobody wants it any more.
    if (this.#isOver) {
      socket.terminate();
      return;
    }
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#events.onOpen(this);
  }

  received(bytes: Uint8Array): void {
    if (!this.#isOver) this.#events.onData(bytes);
  }

  drained(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#unsentBytes = 0;
    for (const bytes of unsent) this.write(bytes);
  }

  ended(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onClose(reason);
  }

  write(bytes: Uint8Array): void {
    if (this.#isOver || !this.#socket) return;
    const written = this.#unsent.length > 0 ? 0 : Math.max(0, this.#socket.write(bytes));
    if (written === bytes.length) return;
    this.#unsent.push(bytes.slice(written));
    this.#unsentBytes += bytes.length - written;
    if (this.#unsentBytes > MAX_UNSENT_BYTES) this.ended("it does not read");
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unsent = [];
    this.#socket?.terminate();
    this.onOver();
  }
}

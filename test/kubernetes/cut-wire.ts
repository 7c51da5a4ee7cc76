import { connect, createServer, type Server, type Socket } from "node:net";

/** Passes bytes on to a port of loopback. The test may cut the connections, and keep new ones from getting through. */
export class CutWire implements Disposable {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #isCut = false;
  /** Connections so far that got through. */
  connections = 0;

  constructor(target: number) {
    this.#server = createServer((near) => {
      if (this.#isCut) {
        near.destroy();
        return;
      }
      this.connections += 1;
      this.#join(near, connect(target, "127.0.0.1"));
    });
    this.#server.listen(0, "127.0.0.1");
  }

  get port(): number {
    const at = this.#server.address();
    if (at === null || typeof at === "string") throw new Error("the wire has no port");
    return at.port;
  }

  #join(near: Socket, far: Socket): void {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#open.delete(one);
        other.destroy();
      });
    }
  }

  /** Breaks every connection; new ones get through. */
  break(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  /** Breaks every connection, and lets no new one through until it is mended. */
  cut(): void {
    this.#isCut = true;
    this.break();
  }

  mend(): void {
    this.#isCut = false;
  }

  [Symbol.dispose](): void {
    this.break();
    this.#server.close();
  }
}

import type { Clock } from "../../util/clock.ts";
import type { Tcp, TcpAddress } from "./tcp.ts";
import { LINK_TIMES, type LinkEvents, ZmtpLink } from "./zmtp-link.ts";
import type { PeerSettings } from "./zmtp-peer.ts";

/** Waits between two connections, ms: the first, and the longest. Each is twice the one before, until a connection has stood as long as the longest. */
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;
/** Random share by which a wait is shorter, so that the connections of a fleet do not come back all at once. */
const JITTER_RATIO = 0.25;

export interface DialerParts {
  readonly tcp: Tcp;
  readonly clock: Clock;
  readonly random: () => number;
}

/**
 * Keeps one connection to a ZeroMQ socket, and makes it anew when it is lost, for as long as it is not disposed of.
 *
 * ```
 *   connecting -> up -> lost -> waiting -> connecting ...
 * ```
 */
export class ZmtpDialer implements Disposable {
  readonly #address: TcpAddress;
  readonly #settings: PeerSettings;
  readonly #parts: DialerParts;
  readonly #events: LinkEvents;
  #link: ZmtpLink | undefined;
  #cancelWait: () => void = () => undefined;
  #waitMs = FIRST_WAIT_MS;
  /** When the handshake of the present connection ended; undefined before. */
  #upAt: number | undefined;
  #isPaused = false;

  /** Connects at once. `events.onDown` is called each time that a connection fails or is lost. */
  constructor(address: TcpAddress, settings: PeerSettings, parts: DialerParts, events: LinkEvents) {
    this.#address = address;
    this.#settings = settings;
    this.#parts = parts;
    this.#events = events;
    this.#connect();
  }

  /** Bytes that it holds of what is not complete. */
  get heldBytes(): number {
    return this.#link?.heldBytes ?? 0;
  }

  /** Sends a message; false where there is no connection now. */
  send(parts: readonly Uint8Array[]): boolean {
    return this.#link?.send(parts) ?? false;
  }

  /** Stops and goes on reading. */
  setPaused(isPaused: boolean): void {
    if (this.#isPaused === isPaused) return;
    this.#isPaused = isPaused;
    this.#link?.setPaused(isPaused);
  }

  [Symbol.dispose](): void {
    this.#cancelWait();
    this.#link?.[Symbol.dispose]();
    this.#link = undefined;
  }

  #connect(): void {
    const { tcp, clock } = this.#parts;
    const link = new ZmtpLink(this.#settings, LINK_TIMES, clock, {
      onUp: () => {
        this.#upAt = clock.now();
        if (this.#isPaused) link.setPaused(true);
        this.#events.onUp();
      },
      onMessage: (frames) => this.#events.onMessage(frames),
      onDown: (reason) => {
        this.#wait();
        this.#events.onDown(reason);
      },
    });
    this.#link = link;
    tcp.connect(this.#address, link);
  }

  #wait(): void {
    const { clock, random } = this.#parts;
    this.#link = undefined;
    if (this.#upAt !== undefined && clock.now() - this.#upAt >= LONGEST_WAIT_MS) this.#waitMs = FIRST_WAIT_MS;
    this.#upAt = undefined;
    this.#cancelWait = clock.after(this.#waitMs * (1 - JITTER_RATIO * random()), () => this.#connect());
    this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
  }
}

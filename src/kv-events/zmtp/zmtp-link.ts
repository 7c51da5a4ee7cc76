import { errorMessage } from "../../util/error-message.ts";
import type { Clock } from "../../util/clock.ts";
import type { TcpEvents, TcpSocket } from "./tcp.ts";
import { type PeerSettings, ZmtpPeer } from "./zmtp-peer.ts";

/** What one connection reports. `onDown` is called once, unless we closed it; then nothing more is called. */
export interface LinkEvents {
  onUp(): void;
  onMessage(frames: readonly Buffer[]): void;
  /** `reason`: one sentence for operators, in which the peer is "it". */
  onDown(reason: string): void;
}

/** Times of a connection. */
export interface LinkTimes {
  /** Time for the handshake, ms. */
  readonly handshakeMs: number;
  /** How often the peer is asked whether it is there, ms. */
  readonly pingMs: number;
  /** After this silence a peer that was asked is taken for lost, ms. */
  readonly silenceMs: number;
}

/** A peer that is there answers within milliseconds. */
export const LINK_TIMES: LinkTimes = { handshakeMs: 5000, pingMs: 10_000, silenceMs: 30_000 };

/** One TCP connection with its ZMTP peer, its handshake's time limit and its heartbeat. */
export class ZmtpLink implements TcpEvents, Disposable {
  readonly #clock: Clock;
  readonly #times: LinkTimes;
  readonly #events: LinkEvents;
  readonly #peer: ZmtpPeer;
  #socket: TcpSocket | undefined;
  #cancelTimer: () => void;
  #heardAt: number;
  #isPaused = false;
  #isOver = false;

  /** `times.handshakeMs` begins now, so that it bounds the connecting as well. */
  constructor(settings: PeerSettings, times: LinkTimes, clock: Clock, events: LinkEvents) {
    this.#clock = clock;
    this.#times = times;
    this.#events = events;
    this.#heardAt = clock.now();
    this.#peer = new ZmtpPeer(settings, {
      write: (bytes) => this.#socket?.write(bytes),
      onReady: () => this.#becomeReady(),
      onMessage: (frames) => events.onMessage(frames),
    });
    this.#cancelTimer = clock.after(times.handshakeMs, () => this.#fail("it did not end the handshake in time"));
  }

  /** Bytes that it holds of what is not complete. */
  get heldBytes(): number {
    return this.#peer.heldBytes;
  }

  onOpen(socket: TcpSocket): void {
    if (this.#isOver) socket.close();
    else {
      this.#socket = socket;
      this.#peer.open();
    }
  }

  onData(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#heardAt = this.#clock.now();
    try {
      this.#peer.receive(bytes);
    } catch (error) {
      this.#fail(errorMessage(error));
    }
  }

  onClose(reason: string): void {
    this.#fail(reason);
  }

  /** Sends a message; false before the handshake is over. */
  send(parts: readonly Uint8Array[]): boolean {
    if (this.#isOver || !this.#peer.isReady) return false;
    this.#peer.send(parts);
    return true;
  }

  /** Stops and goes on reading, so that the peer waits. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (isPaused) this.#socket?.pause();
    else this.#socket?.resume();
    // It could not be heard meanwhile.
    this.#heardAt = this.#clock.now();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#socket?.close();
  }

  #becomeReady(): void {
    this.#cancelTimer();
    this.#scheduleLook();
    this.#events.onUp();
  }

  #scheduleLook(): void {
    this.#cancelTimer = this.#clock.after(this.#times.pingMs, () => this.#look());
  }

  /**
   * Also a peer that is not silent is asked: each question names a time after which the peer may give us up when it hears nothing, and
   * libzmq does so, though it is itself the one that talks.
   */
  #look(): void {
    const isAsked = this.#peer.ping();
    const silentMs = this.#clock.now() - this.#heardAt;
    // A peer that need not know the question is watched by the system's own keep-alive.
    if (isAsked && !this.#isPaused && silentMs >= this.#times.silenceMs) {
      this.#fail(`nothing came from it for ${Math.round(silentMs / 1000)} s, and it does not answer`);
      return;
    }
    this.#scheduleLook();
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this[Symbol.dispose]();
    this.#events.onDown(reason);
  }
}

import type { Clock } from "../util/clock.ts";
import type { Endpoint } from "./endpoints.ts";
import type { Tcp } from "./zmtp/tcp.ts";
import { LINK_TIMES, type LinkEvents, ZmtpLink } from "./zmtp/zmtp-link.ts";
import type { PeerSettings } from "./zmtp/zmtp-peer.ts";

export interface BoundSocketsParts {
  readonly tcp: Tcp;
  readonly clock: Clock;
  readonly settings: Pick<PeerSettings, "maxMessageBytes" | "ttlMs">;
}

/** One worker's part of a bound address. */
interface Subscriber {
  readonly topic: Buffer;
  readonly events: SubscriberEvents;
  /** The engine's connection, once a message of its topic has come on it. */
  link: ZmtpLink | undefined;
  /** Connections in whose place another one came. */
  readonly replaced: WeakSet<ZmtpLink>;
  isPaused: boolean;
}

/** What a worker hears of a bound address. */
export interface SubscriberEvents extends LinkEvents {
  /** A message came on a connection in whose place another one had come: two engines publish with the worker's topic. It is not delivered. */
  onRival(): void;
}

/** An address where engines connect. */
interface Bound {
  readonly listener: Disposable;
  readonly links: Set<ZmtpLink>;
  readonly subscribers: Set<Subscriber>;
}

/** Most engines that may be connected to one address. */
const MAX_LINKS = 4096;

/**
 * Addresses where the gateway waits for engines that connect out. Several workers may share one; the topic of a message says whose it
 * is. A worker is up from the first message of its topic on.
 */
export class BoundSockets implements Disposable {
  readonly #parts: BoundSocketsParts;
  readonly #bound = new Map<string, Bound>();

  constructor(parts: BoundSocketsParts) {
    this.#parts = parts;
  }

  /** Begins to listen at the address, if nobody does yet. Throws where it is not available, or another worker has the same topic there. */
  subscribe(
    { hostname, port }: Endpoint,
    topic: string,
    events: SubscriberEvents,
  ): Disposable & { setPaused(isPaused: boolean): void } {
    const name = `${hostname}:${port}`;
    const bound = this.#bound.get(name) ?? this.#listen(name, { hostname, port });
    const wanted = Buffer.from(topic, "utf8");
    for (const other of bound.subscribers) {
      if (other.topic.equals(wanted)) {
        throw new Error(`another worker's events come to ${name} with the topic ${JSON.stringify(topic)}`);
      }
    }
    const subscriber: Subscriber = { topic: wanted, events, link: undefined, replaced: new WeakSet(), isPaused: false };
    bound.subscribers.add(subscriber);
    return {
      // All workers of the address are paused together, by each of them.
      setPaused: (isPaused) => {
        subscriber.isPaused = isPaused;
        subscriber.link?.setPaused(isPaused);
      },
      [Symbol.dispose]: () => {
        bound.subscribers.delete(subscriber);
        if (bound.subscribers.size === 0) this.#close(name, bound);
      },
    };
  }

  [Symbol.dispose](): void {
    for (const [name, bound] of this.#bound) this.#close(name, bound);
  }

  #listen(name: string, address: { readonly hostname: string; readonly port: number }): Bound {
    const links = new Set<ZmtpLink>();
    const subscribers = new Set<Subscriber>();
    const listener = this.#parts.tcp.listen(address, () => this.#accept(bound));
    const bound: Bound = { listener, links, subscribers };
    this.#bound.set(name, bound);
    return bound;
  }

  #accept(bound: Bound): ZmtpLink {
    const { clock, settings } = this.#parts;
    const link: ZmtpLink = new ZmtpLink({ ...settings, type: "SUB", topics: [""] }, LINK_TIMES, clock, {
      onUp: () => undefined,
      onMessage: (frames) => deliver(bound, link, frames),
      onDown: (reason) => {
        bound.links.delete(link);
        for (const subscriber of bound.subscribers) {
          if (subscriber.link !== link) continue;
          subscriber.link = undefined;
          subscriber.events.onDown(reason);
        }
      },
    });
    if (bound.links.size >= MAX_LINKS) link[Symbol.dispose]();
    else bound.links.add(link);
    return link;
  }

  #close(name: string, { listener, links }: Bound): void {
    this.#bound.delete(name);
    for (const link of links) link[Symbol.dispose]();
    listener[Symbol.dispose]();
  }
}

/** Gives a message to the worker with the longest topic that it begins with. */
function deliver({ subscribers }: Bound, link: ZmtpLink, frames: readonly Buffer[]): void {
  const [name] = frames;
  if (!name) return;
  let best: Subscriber | undefined;
  for (const subscriber of subscribers) {
    const { topic } = subscriber;
    if (name.subarray(0, topic.length).equals(topic) && topic.length >= (best?.topic.length ?? 0)) best = subscriber;
  }
  if (!best) return;
  if (best.link !== link && !takePlace(best, link)) return;
  best.events.onMessage(frames);
}

/** Makes this connection the subscriber's. False where it was so before another one came, which is still there. */
function takePlace(subscriber: Subscriber, link: ZmtpLink): boolean {
  const { events, replaced } = subscriber;
  if (subscriber.link) {
    if (replaced.has(link)) {
      events.onRival();
      return false;
    }
    // A new process of the engine may come before the old connection is known to be gone.
    replaced.add(subscriber.link);
    events.onDown("another connection took its place");
  }
  subscriber.link = link;
  if (subscriber.isPaused) link.setPaused(true);
  events.onUp();
  return true;
}

/** Most bytes of comments and pings that are held; further ones are left out. */
const MAX_PING_BYTES = 65_536;
/** Most bytes that are held where an answer is announced: its announcements have the instructions and tools of the request in them. */
const MAX_BYTES = 1_048_576;

/** What a stream sends before the first part of its answer. The client gets it with that part. */
export class HeldEvents {
  #held: Buffer | undefined;

  /** Holds these events, or leaves them out. Returns whether so much was announced that no more may be held. */
  hold(events: Uint8Array, isAnnouncement: boolean): boolean {
    const bytes = (this.#held?.length ?? 0) + events.length;
    if (!isAnnouncement && bytes > MAX_PING_BYTES) return false;
    this.#held = Buffer.concat(this.#held ? [this.#held, events] : [events]);
    return isAnnouncement && bytes > MAX_BYTES;
  }

  /** All that was held, with these events behind it. */
  with(events: Uint8Array): Uint8Array {
    return this.#held ? Buffer.concat([this.#held, events]) : events;
  }
}

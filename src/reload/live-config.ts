import type { Config, ConfigKey } from "../config/schema.ts";
import { errorMessage } from "../util/error-message.ts";

/**
 * A part of one thread that takes changes of the configuration while the gateway runs. Requests in flight keep what they began with.
 */
export interface ConfigParticipant {
  /** What the log calls it where it refuses or fails. */
  readonly name: string;
  /** The options that it takes. An option that no participant takes needs a restart (`config/needs-restart.ts`). */
  readonly keys: readonly ConfigKey[];
  /**
   * Looks at the configuration and changes nothing. Throws, or rejects, with the reason why it cannot be carried out, in the operator's
   * words.
   */
  check?(next: Config, previous: Config): void | Promise<void>;
  /** Carries the configuration out. It was checked before. It is called again with both changed over where another part fails. */
  apply(next: Config, previous: Config): void | Promise<void>;
}

/** A change that a part could not carry out. All parts have their configuration of before again, except those in `stuck`. */
export class ApplyError extends Error {
  override readonly name = "ApplyError";
  /** Parts that could not go back. */
  readonly stuck: readonly string[];

  constructor(message: string, stuck: readonly string[], cause: unknown) {
    super(message, { cause });
    this.stuck = stuck;
  }
}

/**
 * The configuration in force on one thread, and the parts that take changes of it. The control thread and each serving thread have one;
 * on the control thread the serving threads together are one of the parts.
 *
 * ```
 *   check of each part, in order -- one refuses --> nothing has changed
 *     |
 *     v
 *   apply of each part, all in one turn of the event loop; then of the parts that come last
 *     |                          \-- one fails --> apply of the configuration of before, of all that were asked
 *     v
 *   in force
 * ```
 */
export class LiveConfig {
  readonly #parts: ConfigParticipant[] = [];
  readonly #lastParts: ConfigParticipant[] = [];
  #config: Config;

  constructor(config: Config) {
    this.#config = config;
  }

  /** The configuration in force. */
  get config(): Config {
    return this.#config;
  }

  /** The options that some part takes at run time. */
  get keys(): ReadonlySet<ConfigKey> {
    return new Set([...this.#parts, ...this.#lastParts].flatMap(({ keys }) => keys));
  }

  /**
   * Adds a part. `isLast`: it is asked once all other parts, on all threads, have carried the change out. The returned function takes
   * the part away.
   */
  register(participant: ConfigParticipant, { isLast = false } = {}): () => void {
    const parts = isLast ? this.#lastParts : this.#parts;
    parts.push(participant);
    return () => {
      const index = parts.indexOf(participant);
      if (index >= 0) parts.splice(index, 1);
    };
  }

  /** Rejects with the refusal of the first part that refuses. */
  async check(next: Config): Promise<void> {
    for (const part of [...this.#parts, ...this.#lastParts]) await part.check?.(next, this.#config);
  }

  /** Rejects with ApplyError; then the configuration of before is in force. */
  async apply(next: Config): Promise<void> {
    const previous = this.#config;
    const asked: ConfigParticipant[] = [];
    this.#config = next;
    try {
      // A part that changes what others read must not wait in between, so nothing here does.
      await together(this.#parts, next, previous, asked);
      await together(this.#lastParts, next, previous, asked);
    } catch (cause) {
      this.#config = previous;
      const stuck = await goBack(asked, previous, next);
      throw new ApplyError(errorMessage(cause), stuck, cause);
    }
  }
}

/** Begins with all parts before it waits for any. `asked` gets those that were asked. */
async function together(
  parts: readonly ConfigParticipant[],
  next: Config,
  previous: Config,
  asked: ConfigParticipant[],
): Promise<void> {
  const waits: Promise<void>[] = [];
  let failure: { readonly cause: unknown } | undefined;
  for (const part of parts) {
    asked.push(part);
    try {
      const wait = part.apply(next, previous);
      if (wait) waits.push(wait);
    } catch (cause) {
      failure = { cause };
      break;
    }
  }
  const late = (await Promise.allSettled(waits)).find((result) => result.status === "rejected");
  if (failure) throw failure.cause;
  if (late) throw late.reason;
}

/** Gives the parts their configuration of before. Returns the names of those that cannot take it. */
async function goBack(asked: readonly ConfigParticipant[], previous: Config, next: Config): Promise<string[]> {
  const stuck: string[] = [];
  for (const part of asked) {
    try {
      await part.apply(previous, next);
    } catch {
      stuck.push(part.name);
    }
  }
  return stuck;
}

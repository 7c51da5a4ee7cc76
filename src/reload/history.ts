import type { ConfigText } from "../config/load.ts";

/** One configuration that was in force. */
export interface HistoryEntry {
  readonly version: number;
  /** When it came into force, ms since 1970. */
  readonly at: number;
  /** Who brought it. */
  readonly by: string;
  /** What it changed, or would at the next start, one line for each difference; secrets are not in it. */
  readonly changes: readonly string[];
  /** What of it waits for a restart, in the same form. */
  readonly waiting: readonly string[];
  readonly document: ConfigText;
  /** What it took from outside of it. */
  readonly references: ReadonlySet<string>;
}

/** Most configurations that are kept, and most characters of their documents and changes together. */
const MAX_ENTRIES = 50;
const MAX_CHARS = 16_777_216;

/** The last configurations, the newest first, for `rollback`. They are gone with the process. */
export class ConfigHistory {
  #entries: HistoryEntry[] = [];

  add(entry: HistoryEntry): void {
    this.#entries = [entry, ...this.#entries].slice(0, MAX_ENTRIES);
    // The newest is always kept.
    while (this.#entries.length > 1 && this.#chars() > MAX_CHARS) this.#entries.pop();
  }

  list(): readonly HistoryEntry[] {
    return this.#entries;
  }

  get(version: number): HistoryEntry | undefined {
    return this.#entries.find((entry) => entry.version === version);
  }

  #chars(): number {
    let chars = 0;
    for (const { document, changes, waiting } of this.#entries) {
      chars += document.text.length;
      for (const line of [...changes, ...waiting]) chars += line.length;
    }
    return chars;
  }
}

/** A value with the host names that it is for. */
interface Named<T> {
  readonly names: readonly string[];
  readonly value: T | undefined;
}

/**
 * Finds what is for a server name. A name that is written out comes before a wildcard, and of several entries with one name the first
 * counts. `*.example.com` is for any one label before `.example.com` (RFC 9525, section 6.3). Letters count in lower case.
 */
export class ByServerName<T> {
  readonly #exact = new Map<string, T | undefined>();
  /** By what follows the first label, with its dot. */
  readonly #wild = new Map<string, T | undefined>();

  constructor(entries: readonly Named<T>[]) {
    for (const { names, value } of entries) {
      for (const name of names) {
        const [map, key] = name.startsWith("*.") ? [this.#wild, name.slice(1)] : [this.#exact, name];
        const lower = key.toLowerCase();
        if (!map.has(lower)) map.set(lower, value);
      }
    }
  }

  /** undefined where nothing is for the name, or an entry without a value is. */
  find(serverName: string): T | undefined {
    const name = serverName.toLowerCase();
    if (this.#exact.has(name)) return this.#exact.get(name);
    const dot = name.indexOf(".");
    return dot > 0 ? this.#wild.get(name.slice(dot)) : undefined;
  }
}

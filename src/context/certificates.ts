import { readFile } from "node:fs/promises";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import type { Clock } from "../util/clock.ts";
import { TLS_KEYS } from "./live-keys.ts";
import { type Contents, type GatewayTls, readTls, type TlsFiles, tlsPaths } from "./tls-files.ts";

/** How often the files are read, ms. A renewed certificate is in force weeks before the old one ends. */
const LOOK_MS = 5000;

export interface CertificatesDeps {
  readonly config: Config;
  readonly live: Pick<LiveConfig, "register">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Reads a file; tests pass their own. */
  readonly read?: (path: string) => Promise<string>;
  /** ms since 1970. */
  readonly wallNow?: () => number;
}

/** The files of one configuration. */
interface Reading {
  readonly config: Config;
  readonly contents: Contents;
  readonly files: TlsFiles;
}

/**
 * The certificates and keys of the gateway, read from their files, again every few seconds. Files that are wrong change nothing:
 * the last good ones stay in force, and the log says why.
 */
export class Certificates implements Disposable {
  readonly #deps: Required<CertificatesDeps>;
  readonly #listeners = new Set<(next: GatewayTls) => void>();
  /** Readings that a change of the configuration may put in force. */
  readonly #readings = new WeakMap<Config, Reading>();
  #inForce: Reading;
  #cancel: () => void = () => undefined;
  /** What was wrong when the files were last read. */
  #trouble = "";
  #toldTrouble = "";
  #isClosed = false;

  private constructor(deps: Required<CertificatesDeps>, first: Reading) {
    this.#deps = deps;
    this.#inForce = first;
  }

  /** Reads the files. Rejects with invalid_request where they cannot be used. An expired certificate can: the log says so. */
  static async open(given: CertificatesDeps): Promise<Certificates> {
    const deps = { read: (path: string) => readFile(path, "utf8"), wallNow: () => Date.now(), ...given };
    const first = await readingOf(deps.config, deps);
    refuseProblems(first);
    for (const text of first.files.notValid) deps.logger.error({}, `${text}; clients will refuse it`);
    const opened = new Certificates(deps, first);
    deps.live.register({
      name: "certificates",
      keys: TLS_KEYS,
      check: (next) => opened.#check(next),
      apply: (next) => opened.#apply(next),
    });
    opened.#tell("certificates read");
    opened.#lookLater();
    return opened;
  }

  /** What is in force. */
  get current(): GatewayTls {
    return this.#inForce.files.tls;
  }

  /** Shows the time until each certificate expires. */
  expose(metrics: Metrics): void {
    metrics.read("certificateExpiry", (set) => {
      for (const { use, path, notAfterMs } of this.#inForce.files.certificates)
        set({ use, path }, Math.round((notAfterMs - this.#deps.wallNow()) / 1000));
    });
  }

  /** Calls `listener` with what is in force next when the files have changed. The returned function removes the listener. */
  onChange(listener: (next: GatewayTls) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the files at once. */
  async look(): Promise<void> {
    const before = this.#inForce;
    const next = await readingOf(before.config, this.#deps);
    // A change of the configuration has come in between, and has read them.
    if (this.#isClosed || this.#inForce !== before) return;
    if (isSame(next.contents, before.contents)) {
      this.#noTrouble();
      return;
    }
    const { problems, notValid } = next.files;
    const wrong = [...problems.map(({ text }) => text), ...notValid];
    if (wrong.length > 0) this.#inTrouble(wrong.join("; "));
    else this.#put(next);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /** Rejects with invalid_request. */
  async #check(next: Config): Promise<void> {
    const { config } = this.#inForce;
    if (namesTheSame(next, config)) {
      // Files that are wrong by now do not keep other options from changing.
      this.#readings.set(next, { ...this.#inForce, config: next });
      return;
    }
    const reading = await readingOf(next, this.#deps);
    refuseProblems(reading);
    const [wrong] = reading.files.notValid;
    if (wrong !== undefined) throw new GatewayError("invalid_request", wrong);
    if ((reading.files.tls.main === undefined) !== (this.current.main === undefined)) {
      throw new GatewayError("invalid_request", "a port begins or ceases to speak TLS only with a restart");
    }
    this.#readings.set(next, reading);
  }

  #apply(next: Config): void {
    const reading = this.#readings.get(next);
    if (!reading) throw new Error("the certificates were not checked");
    // A later part may fail: then the configuration of before comes back.
    this.#readings.set(this.#inForce.config, this.#inForce);
    this.#put(reading);
  }

  #put(next: Reading): void {
    const isChanged = !isSame(next.contents, this.#inForce.contents);
    this.#noTrouble();
    this.#inForce = withFilesOf(this.#inForce, next);
    if (isChanged) this.#tell("certificates changed");
    for (const listener of this.#listeners) listener(this.current);
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancel();
    if (this.#isClosed || tlsPaths(this.#inForce.config).length === 0) return;
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => void this.look().finally(() => this.#lookLater()));
  }

  #tell(message: string): void {
    for (const { use, path, subject, names, notAfterMs, fingerprint } of this.#inForce.files.certificates) {
      const expires = new Date(notAfterMs).toISOString();
      this.#deps.logger.info({ use, path, subject, names, expires, fingerprint }, message);
    }
  }

  /** Tells it when the files are read for the second time: between the two of a pair that are written one after the other, they do not match. */
  #inTrouble(trouble: string): void {
    if (trouble === this.#trouble && trouble !== this.#toldTrouble) {
      this.#toldTrouble = trouble;
      this.#deps.logger.error({ reason: trouble }, "changed certificates are not used; the earlier ones stay in force");
    }
    this.#trouble = trouble;
  }

  #noTrouble(): void {
    this.#trouble = "";
    this.#toldTrouble = "";
  }
}

function namesTheSame(a: Config, b: Config): boolean {
  return Bun.deepEquals([TLS_KEYS.map((key) => a[key]), tlsPaths(a)], [TLS_KEYS.map((key) => b[key]), tlsPaths(b)]);
}

/** A worker that was changed over the API may outlast the configuration that named its files. */
function withFilesOf(before: Reading, next: Reading): Reading {
  const { tls } = next.files;
  const files = { ...before.files.tls.workers.files, ...tls.workers.files };
  return { ...next, files: { ...next.files, tls: { ...tls, workers: { ...tls.workers, files } } } };
}

/** Throws invalid_request. */
function refuseProblems({ files }: Reading): void {
  const [problem] = files.problems;
  if (problem) throw new GatewayError("invalid_request", problem.text);
}

async function readingOf(config: Config, { read, wallNow }: Required<CertificatesDeps>): Promise<Reading> {
  const one = async (path: string): Promise<[string, string | Error]> => {
    try {
      return [path, await read(path)];
    } catch (error) {
      return [path, error instanceof Error ? error : new Error(String(error))];
    }
  };
  const contents = new Map(await Promise.all(tlsPaths(config).map(one)));
  return { config, contents, files: readTls(config, contents, wallNow()) };
}

function isSame(a: Contents, b: Contents): boolean {
  return a.size === b.size && [...a].every(([path, text]) => typeof text === "string" && text === b.get(path));
}

import { checkNotBlank } from "../config/config-file.ts";
import type { ConfigText, LoadedConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { carry, type ChangeRequest, type ChangeResult, checkWith, needsRestart, withoutRestart } from "./change.ts";
import { type ConfigDifference, differencesOf, inWords } from "./config-diff.ts";
import { ConfigHistory, type HistoryEntry } from "./history.ts";
import { ApplyError, type LiveConfig } from "./live-config.ts";
import { errorMessage } from "../util/error-message.ts";

export interface ConfigTransactionsDeps {
  readonly live: LiveConfig;
  /**
   * Merges a document with the variables and flags of the start. `allowed`: what it may take from outside; undefined: anything. Throws
   * ConfigError.
   */
  readonly load: (document: ConfigText, allowed: ReadonlySet<string> | undefined) => LoadedConfig;
  /** Reads the file of the start; undefined where there is none. Throws ConfigError. */
  readonly readFile: () => ConfigText | undefined;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Time of the wall clock, ms since 1970. */
  readonly wallNow: () => number;
}

/** A change that was checked. */
interface Checked extends Pick<ChangeResult, "changes" | "waiting" | "notices">, Pick<LoadedConfig, "references"> {
  readonly document: ConfigText;
  /** What the document comes to. */
  readonly wanted: Config;
  /** The same with the options in force that need a restart. */
  readonly next: Config;
}

/** Most changes that wait for their turn: each holds a document. */
const MAX_WAITING = 8;
/** The document of a gateway that was started without a file. */
const NO_FILE: ConfigText = { name: "config", text: "" };

/**
 * The one way in which the configuration of a running gateway changes, whoever asks: one change at a time, read and validated whole,
 * compared with what is in force, checked by all parts on all threads, and carried out by all of them or none.
 */
export class ConfigTransactions {
  readonly #deps: ConfigTransactionsDeps;
  readonly #history = new ConfigHistory();
  #version = 1;
  #document: ConfigText;
  /** What the file took from outside when it was read last. */
  #allowed: ReadonlySet<string>;
  /** What the file said when it was read last; undefined where there is no file. */
  #fileText: string | undefined;
  /** Whether the document in force came over the API. */
  #isByApi = false;
  /** What the document in force comes to, with the options that wait for a restart. */
  #wanted: Config;
  #waiting: readonly ConfigDifference[] = [];
  #notices: readonly string[];
  #lastSuccess: number;
  #queued = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** What the configuration in force was read from; without a document where there was no file. */
  constructor(
    { document, references, notices }: Pick<LoadedConfig, "document" | "references" | "notices">,
    deps: ConfigTransactionsDeps,
  ) {
    this.#deps = deps;
    this.#notices = notices;
    this.#wanted = deps.live.config;
    this.#document = document ?? NO_FILE;
    this.#allowed = references;
    this.#fileText = document?.text;
    this.#lastSuccess = deps.wallNow();
    this.#history.add({
      version: 1,
      at: this.#lastSuccess,
      by: "start",
      changes: [],
      waiting: [],
      document: this.#document,
      references,
    });
    const { metrics } = deps;
    metrics.read("configVersion", (set) => set({}, this.#version));
    metrics.read("configLastSuccess", (set) => set({}, this.#lastSuccess / 1000));
    metrics.read("configDiffers", (set) => set({}, this.differsFromFile ? 1 : 0));
  }

  get version(): number {
    return this.#version;
  }

  get config(): Config {
    return this.#deps.live.config;
  }

  /** The text that the configuration in force was read from. */
  get document(): ConfigText {
    return this.#document;
  }

  /** Whether the file, as it was read last, says something else than what is in force. */
  get differsFromFile(): boolean {
    return this.#fileText !== undefined && this.#fileText !== this.#document.text;
  }

  /** The files that the file names, as it was read last: those of secrets, among others. */
  get namedFiles(): readonly string[] {
    return [...this.#allowed].filter((reference) => !reference.startsWith("${"));
  }

  /** Differences of the document in force that wait for a restart. */
  get waiting(): readonly ConfigDifference[] {
    return this.#waiting;
  }

  /** What the operator should know of the configuration in force, such as options that have no effect. */
  get notices(): readonly string[] {
    return this.#notices;
  }

  /** The configurations so far, the newest first. */
  get history(): readonly HistoryEntry[] {
    return this.#history.list();
  }

  /**
   * Makes the change. Rejects with ConfigError where the document is not valid, with GatewayError otherwise: invalid_request (a part
   * refuses), config_needs_restart, config_version_mismatch, config_not_applied, overloaded. Whenever it rejects, what was in force
   * before is in force.
   */
  change(request: ChangeRequest): Promise<ChangeResult> {
    return this.#inTurn(() => request);
  }

  /**
   * Makes an earlier configuration the one in force, under a new version; without a number, the one before. Variables and the files of
   * secrets are read as they are now. Rejects with invalid_request where the version is not kept, and as `change` does.
   */
  rollback(to: number | undefined, request: Omit<ChangeRequest, "document" | "allowed">): Promise<ChangeResult> {
    // Which one is before this one is known once the changes that wait have been made.
    return this.#inTurn(() => this.#back(to, request));
  }

  async #inTurn(requestOf: () => ChangeRequest): Promise<ChangeResult> {
    if (this.#queued >= MAX_WAITING) {
      throw new GatewayError("overloaded", `${MAX_WAITING} changes of the configuration wait already`, {
        retryAfterSecs: 1,
      });
    }
    this.#queued += 1;
    const mine = this.#turn.then(() => this.#take(requestOf()));
    this.#turn = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      this.#queued -= 1;
    }
  }

  /** The request that goes back to a version. Throws invalid_request where it is not kept. */
  #back(to: number | undefined, request: Omit<ChangeRequest, "document" | "allowed">): ChangeRequest {
    const entry = to === undefined ? this.#history.list()[1] : this.#history.get(to);
    if (!entry) {
      const kept = this.#history.list().map(({ version }) => version);
      const message = to === undefined ? "there is no configuration before this one" : `version ${to} is not kept`;
      throw new GatewayError("invalid_request", `${message}; kept are ${kept.join(", ")}`, { param: "version" });
    }
    const { document, references, version, waiting } = entry;
    // What waited for a restart then was agreed to.
    const isPartial = request.isPartial === true || waiting.length > 0;
    return { ...request, document, allowed: references, isPartial, by: `${request.by}, back to version ${version}` };
  }

  async #take(request: ChangeRequest): Promise<ChangeResult> {
    try {
      return await this.#carryOut(request);
    } catch (error) {
      if (request.isDryRun !== true) this.#tellFailure(request, error);
      throw error;
    }
  }

  async #carryOut(request: ChangeRequest): Promise<ChangeResult> {
    const { live, load } = this.#deps;
    const { ifVersion, isDryRun = false, isPartial = false } = request;
    if (ifVersion !== undefined && ifVersion !== this.#version) {
      const message = `the configuration has version ${this.#version}, not ${ifVersion}`;
      throw new GatewayError("config_version_mismatch", message);
    }
    const document = this.#documentOf(request);
    const isFile = request.document === "file";
    const {
      config: wanted,
      notices,
      references,
    } = load(document, isFile ? undefined : (request.allowed ?? this.#allowed));
    if (isFile) this.#allowed = references;
    const differences = differencesOf(live.config, wanted);
    const waiting = differences.filter(({ restart }) => restart !== undefined);
    if (waiting.length > 0 && !isPartial && !isDryRun) throw needsRestart(waiting);
    const next = waiting.length > 0 ? withoutRestart(wanted, live.config) : wanted;
    const changes = differences.filter(({ restart }) => restart === undefined);
    await checkWith(live, next);
    if (!isDryRun) await this.#apply(request, { document, references, wanted, next, changes, waiting, notices });
    return { version: this.#version, changes, waiting, notices };
  }

  /** What is to be the configuration. Throws ConfigError where it has no option. */
  #documentOf({ document, allowed }: ChangeRequest): ConfigText {
    if (document === "file") return this.#read();
    // An earlier version may have none: the gateway may have begun so.
    if (allowed === undefined) checkNotBlank(document);
    return document;
  }

  /** The file as it is now. */
  #read(): ConfigText {
    const document = this.#deps.readFile();
    if (!document) return this.#document;
    checkNotBlank(document);
    this.#fileText = document.text;
    return document;
  }

  async #apply(
    { by, via, document: asked }: ChangeRequest,
    { document, references, wanted, next, changes, waiting, notices }: Checked,
  ): Promise<void> {
    const { live, logger, wallNow } = this.#deps;
    // An option that waits for a restart, or does so no more, is a change as well.
    const told = differencesOf(this.#wanted, wanted).map(inWords);
    const waits = waiting.map(inWords);
    // The files that it names may say something else now, such as a chat template.
    if (changes.length > 0 || asked === "file") await carry(live, next);
    const dropped = asked === "file" && this.#isByApi ? { replaces: "what was set over the API" } : {};
    this.#isByApi = asked !== "file";
    const at = wallNow();
    this.#document = document;
    this.#wanted = wanted;
    this.#waiting = waiting;
    for (const notice of notices) if (!this.#notices.includes(notice)) logger.warn({ by, via }, notice);
    this.#notices = notices;
    this.#lastSuccess = at;
    if (told.length === 0) {
      logger.info({ by, via, version: this.#version }, "the configuration is as before");
    } else {
      this.#version += 1;
      this.#history.add({ version: this.#version, at, by, changes: told, waiting: waits, document, references });
      logger.info({ by, via, version: this.#version, changes: told, ...dropped }, "the configuration has changed");
    }
    if (waits.length > 0) {
      logger.warn({ by, via, options: waits }, "a part of the configuration waits for a restart");
    }
  }

  #tellFailure({ by, via }: ChangeRequest, error: unknown): void {
    const { logger, metrics } = this.#deps;
    metrics.increment("configFailures", { via });
    const fields = { by, via, version: this.#version, reason: errorMessage(error) };
    const stuck = error instanceof GatewayError && error.cause instanceof ApplyError ? error.cause.stuck : [];
    if (stuck.length > 0) logger.error({ ...fields, stuck }, "parts could not go back to the configuration in force");
    else logger.error(fields, "the configuration is not changed");
  }
}

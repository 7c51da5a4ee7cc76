import { Database } from "bun:sqlite";
import { closeSync, openSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { GatewayError } from "../errors/errors.ts";
import type { KeyRecord } from "./key-record.ts";
import { type KeyRow, recordOf, rowOf } from "./key-row.ts";
import type { KeyChanges, KeyStore } from "./key-store.ts";
import { SqliteUsage } from "./sqlite-usage.ts";
import { StoreFile } from "./store-file.ts";
import type { UsageQuery, UsageRow, UsageTotal } from "./usage.ts";
import { errorMessage } from "../util/error-message.ts";

/** Version of the tables, in `PRAGMA user_version`. */
const VERSION = 1;
/** Keys that are read at once. */
const PAGE = 1000;
/** How long the start waits for another process that writes, ms. */
const OPENING_MS = 5000;

const TABLES = `
CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  digest BLOB NOT NULL UNIQUE,
  previous_digest BLOB,
  previous_until INTEGER NOT NULL,
  roles TEXT NOT NULL,
  models TEXT,
  requests_per_minute REAL,
  tokens_per_minute REAL,
  max_concurrent REAL,
  priority TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  position INTEGER NOT NULL
);
CREATE INDEX keys_by_position ON keys (position);
CREATE UNIQUE INDEX keys_by_valid_name ON keys (name) WHERE revoked_at IS NULL;
CREATE TABLE usage (
  window TEXT NOT NULL,
  time INTEGER NOT NULL,
  key TEXT NOT NULL,
  model TEXT NOT NULL,
  requests INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  PRIMARY KEY (window, time, key, model)
) WITHOUT ROWID;
`;

const COLUMNS =
  "id, name, digest, previous_digest, previous_until, roles, models, requests_per_minute, tokens_per_minute, max_concurrent, priority, created_at, expires_at, revoked_at";
const NEXT_POSITION = "(SELECT coalesce(max(position), 0) + 1 FROM keys)";
const INSERT = `INSERT INTO keys (${COLUMNS}, position) VALUES (${COLUMNS.replaceAll(/\w+/g, "$$$&")}, ${NEXT_POSITION})`;
const UPDATE = `UPDATE keys SET ${COLUMNS.replaceAll(/\w+/g, "$& = $$$&")}, position = ${NEXT_POSITION} WHERE id = $id`;

/**
 * Keys in a file of SQLite, which several processes of one machine may use at once. It has digests, no keys. The file is in WAL mode: readers
 * and the writer do not wait for each other.
 */
export class SqliteKeyStore implements KeyStore {
  readonly #database: Database;
  readonly #file: StoreFile;
  readonly #usage: SqliteUsage;
  readonly #wallNow: () => number;
  /** What SQLite said of changes of other connections the last time. */
  #dataVersion = -1;
  #position = -1;

  private constructor(database: Database, file: StoreFile, wallNow: () => number) {
    this.#database = database;
    this.#file = file;
    this.#wallNow = wallNow;
    this.#usage = new SqliteUsage(database, wallNow);
  }

  /** Opens the file, or makes one that only its owner may read. Throws invalid_request. `wallNow`: ms since 1970. */
  static open(path: string, wallNow: () => number = Date.now): SqliteKeyStore {
    try {
      // SQLite gives its other files the permissions of this one.
      closeSync(openSync(path, "a", 0o600));
      const database = new Database(path, { create: true, strict: true });
      database.run(`PRAGMA busy_timeout = ${OPENING_MS}`);
      database.run("PRAGMA journal_mode = WAL");
      database.run("PRAGMA synchronous = NORMAL");
      createTables(database);
      database.run("PRAGMA busy_timeout = 0");
      return new SqliteKeyStore(database, new StoreFile(path), wallNow);
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause;
      throw new GatewayError("invalid_request", `key_store ${path}: ${errorMessage(cause)}${fullDisk(path)}`, {
        cause,
      });
    }
  }

  async load(take: (record: KeyRecord) => void): Promise<number> {
    // Changes that come while the pages are read are read again by the first look behind this position.
    const position = this.#lastPosition();
    const sql = `SELECT ${COLUMNS}, rowid AS place FROM keys WHERE rowid > $after AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $now) ORDER BY rowid LIMIT ${PAGE}`;
    const query = this.#database.query<KeyRow & { place: number }, [{ after: number; now: number }]>(sql);
    for (let after = 0; ;) {
      const rows = query.all({ after, now: this.#wallNow() });
      for (const row of rows) take(recordOf(row));
      after = rows.at(-1)?.place ?? after;
      if (rows.length < PAGE) return position;
    }
  }

  changesSince(position: number): Promise<KeyChanges> {
    return this.#file.attempt(() => this.#changesSince(position));
  }

  #changesSince(position: number): KeyChanges {
    // SQLite counts commits of other connections, which costs no read of the table.
    const version = this.#pragma("data_version");
    if (version === this.#dataVersion && position === this.#position) return { keys: [], position };
    this.#dataVersion = version;
    const changes = this.#changes("position > $position", { position });
    this.#position = changes.position;
    return changes;
  }

  async list(limit: number, after?: string): Promise<readonly KeyRecord[]> {
    const from = after === undefined ? "0" : "(SELECT rowid FROM keys WHERE id = $after)";
    const sql = `SELECT ${COLUMNS} FROM keys WHERE rowid > ${from} ORDER BY rowid LIMIT $limit`;
    const values = after === undefined ? { limit } : { limit, after };
    return this.#file.attempt(() => this.#database.query<KeyRow, [typeof values]>(sql).all(values).map(recordOf));
  }

  async find(idOrName: string): Promise<KeyRecord | undefined> {
    const sql = `SELECT ${COLUMNS} FROM keys WHERE id = $name OR name = $name ORDER BY id = $name DESC, revoked_at IS NULL DESC, rowid DESC LIMIT 1`;
    const row = await this.#file.attempt(() =>
      this.#database.query<KeyRow, [{ name: string }]>(sql).get({ name: idOrName }),
    );
    return row ? recordOf(row) : undefined;
  }

  insert(record: KeyRecord): Promise<void> {
    return this.#file.attempt(() => this.#write(INSERT, record));
  }

  update(id: string, change: (record: KeyRecord) => KeyRecord): Promise<KeyRecord> {
    const run = this.#database.transaction(() => {
      const row = this.#database
        .query<KeyRow, [{ id: string }]>(`SELECT ${COLUMNS} FROM keys WHERE id = $id`)
        .get({ id });
      if (!row) throw new GatewayError("key_not_found", "no key has this id");
      const record = change(recordOf(row));
      this.#write(UPDATE, record);
      return record;
    });
    return this.#file.attempt(() => run.immediate());
  }

  addUsage(rows: readonly UsageRow[]): Promise<void> {
    return this.#file.attempt(() => this.#usage.add(rows));
  }

  usage(query: UsageQuery): Promise<readonly UsageTotal[]> {
    return this.#file.attempt(() => this.#usage.find(query));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close(false);
  }

  #changes(where: string, values: Record<string, number>): KeyChanges {
    const read = this.#database.transaction(() => {
      const rows = this.#database
        .query<KeyRow, [Record<string, number>]>(`SELECT ${COLUMNS} FROM keys WHERE ${where} ORDER BY position`)
        .all(values);
      return { keys: rows.map(recordOf), position: this.#lastPosition() };
    });
    return read();
  }

  #lastPosition(): number {
    const row = this.#database.query<{ last: number }, []>("SELECT coalesce(max(position), 0) AS last FROM keys").get();
    return row?.last ?? 0;
  }

  /** Throws key_exists. */
  #write(sql: string, record: KeyRecord): void {
    // SQLite does not count this connection's own commits.
    this.#dataVersion = -1;
    try {
      this.#database.query(sql).run(rowOf(record));
    } catch (cause) {
      if (cause instanceof Error && cause.message.includes("UNIQUE constraint failed: keys.name"))
        throw new GatewayError("key_exists", `a valid key is named ${JSON.stringify(record.name)} already`, {
          param: "name",
        });
      throw cause;
    }
  }

  #pragma(name: string): number {
    const row = this.#database.query<Record<string, number>, []>(`PRAGMA ${name}`).get();
    return row?.[name] ?? 0;
  }
}

/** SQLite calls some of its writes to a full disk "disk I/O error", so the message says it. */
function fullDisk(path: string): string {
  try {
    return statfsSync(dirname(path)).bavail === 0 ? "; no space is left on its disk" : "";
  } catch {
    return "";
  }
}

/** Makes the tables in a new file. Throws invalid_request for a file of a later version. */
function createTables(database: Database): void {
  const create = database.transaction(() => {
    const row = database.query<{ user_version: number }, []>("PRAGMA user_version").get();
    const version = row?.user_version ?? 0;
    if (version > VERSION)
      throw new GatewayError("invalid_request", `the key store was made by a later version of pointsman (${version})`);
    if (version === VERSION) return;
    database.run(TABLES);
    database.run(`PRAGMA user_version = ${VERSION}`);
  });
  create.immediate();
}

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { BIN, startProgram } from "../support/process.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, faultGatewayOf } from "./setup.ts";

const ADMIN = { authorization: "Bearer root-key", "content-type": "application/json" };
const CALL = { authorization: "Bearer client-key" };

/** A disk of its own in a mount namespace of its own, which only root may make; other users' runs skip these faults. */
const MOUNTS = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"';
const canMount =
  process.getuid?.() === 0 &&
  Bun.spawnSync(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).exitCode === 0;
if (!canMount) console.warn("faults of disks are not tried: they need root and mounts of their own");

/** Starts gateways on a disk that is read-only, then full, and prints the last line and the exit code of each. */
const STARTS = `
mount -t tmpfs -o size=1m none "$0" || exit 1
"$1" keys create kept --key-store "$0/keys.db" > /dev/null 2>&1 || exit 1
start() { timeout 30 "$@" --port 0 --prometheus-port 0 --worker http://127.0.0.1:9 2>&1 | tail -n 1; echo "\${PIPESTATUS[0]}"; }
mount -o remount,ro "$0" || exit 1
start "$1" --key-store "$0/keys.db"
start "$1" --audit-log "$0/audit"
mount -o remount,rw "$0" || exit 1
cat /dev/zero > "$0/filler" 2> /dev/null
start "$1" --key-store "$0/keys.db"
start "$1" --key-store "$0/none/keys.db"
rm "$0/filler"
"$1" keys list --key-store "$0/keys.db" | grep -o kept
`;

/** Keys that the gateway has before any is made: the one of clients, and that of the administrator. */
const KEYS_OF_START = 2;

interface Answer {
  readonly status: number;
  readonly id: string;
  readonly key: string;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A gateway whose key store and audit log are on a small disk. */
class OnDisk implements AsyncDisposable {
  readonly #folder: string;
  readonly gateway: FaultGateway;

  private constructor(folder: string, gateway: FaultGateway) {
    this.#folder = folder;
    this.gateway = gateway;
  }

  static async start(engine: SimulatedEngine): Promise<OnDisk> {
    const folder = mkdtempSync(join(tmpdir(), "pointsman-fault-disk-"));
    const program = ["unshare", "--mount", "sh", "-c", MOUNTS, folder, BIN];
    const flags = [
      ...[
        "--worker",
        engine.url,
        "--api-key",
        "client-key",
        "--admin-api-key",
        "root-key",
        "--key-store",
        join(folder, "keys.db"),
      ],
      ...["--audit-log", join(folder, "audit.jsonl"), "--auth-failures-per-minute", "0"],
    ];
    const gateway = await startProgram(program, flags, { ...process.env });
    const disk = new OnDisk(folder, faultGatewayOf(gateway, { call: CALL, admin: ADMIN }));
    await eventually(async () => (await fetch(`${disk.gateway.url}/readiness`)).ok, "it is ready");
    return disk;
  }

  /** The path as the test's own process sees it. */
  at(name: string): string {
    return join(`/proc/${this.gateway.pid}/root`, this.#folder, name);
  }

  /** Takes all of the disk that is free. Returns a function that gives it back. */
  fill(): () => void {
    const { bavail, bsize } = statfsSync(this.at("."));
    writeFileSync(this.at("filler"), new Uint8Array(bavail * bsize));
    return () => rmSync(this.at("filler"));
  }

  /** Runs a program where the gateway's disk is. */
  run(...words: readonly string[]): void {
    const { exitCode, stderr } = Bun.spawnSync([
      ...["nsenter", "--target", String(this.gateway.pid), "--mount", ...words],
      this.#folder,
    ]);
    if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr.toString()}`);
  }

  async administer(method: string, path: string, body?: object): Promise<Answer> {
    const sent = body ? { body: JSON.stringify(body) } : {};
    const response = await fetch(this.gateway.url + path, { method, headers: ADMIN, ...sent });
    return { ...((await response.json()) as Answer), status: response.status };
  }

  create(name: string): Promise<Answer> {
    return this.administer("POST", "/keys", { name });
  }

  async ask(key: string): Promise<number> {
    const body = { model: "m", messages: [{ role: "user", content: "Hello" }] };
    const response = await post(`${this.gateway.url}/v1/chat/completions`, body, { authorization: `Bearer ${key}` });
    await response.arrayBuffer();
    return response.status;
  }

  async used(name: string): Promise<number> {
    const response = await fetch(`${this.gateway.url}/usage?by=key&key=${name}`, { headers: ADMIN });
    const { usage } = (await response.json()) as { usage?: { requests: number }[] };
    return usage?.[0]?.requests ?? 0;
  }

  /** Names of the keys, by the gateway. */
  async names(): Promise<string[]> {
    const response = await fetch(`${this.gateway.url}/keys`, { headers: ADMIN });
    const { keys } = (await response.json()) as { keys: { name: string }[] };
    return keys.map(({ name }) => name).toSorted();
  }

  told(text: string): number {
    return this.gateway.lines().filter((line) => line["msg"] === text).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

describe.skipIf(!canMount)("the disk of the key store", () => {
  let engine: SimulatedEngine;
  let disk: OnDisk;
  beforeAll(async () => {
    engine = await startEngine({ model: "m" });
    disk = await OnDisk.start(engine);
  });
  afterAll(async () => {
    await expectSameProcessServes(disk.gateway);
    await disk[Symbol.asyncDispose]();
    await engine.stop();
  });

  test("row 174: is full: known keys stay in force, changes are refused and leave nothing, and usage is written when there is room", async () => {
    const { key } = await disk.create("known");
    const empty = disk.fill();
    // What SQLite and the audit log have of their own last blocks may hold a few more.
    const refused: Answer[] = [];
    for (let count = 0; refused.length < 20 && count < 200; count += 1) {
      const answer = await disk.create(`lost-${count}`);
      if (answer.status !== 201) refused.push(answer);
    }
    for (const { status, error } of refused) {
      expect([status, error?.code, error?.message]).toEqual([
        503,
        "key_store_failed",
        "the key store cannot be read or written: database or disk is full",
      ]);
    }
    const made = (await disk.names()).length;
    for (let count = 0; count < 20; count += 1) expect(await disk.ask(key)).toBe(200);
    await eventually(() => disk.told("the audit log cannot be written") > 0, "the log has the entries");
    empty();
    expect((await disk.create("after")).status).toBe(201);
    expect((await disk.names()).length).toBe(made + 1);
    await eventually(async () => (await disk.used("known")) === 20, "the usage of meanwhile is written");
    const lines = readFileSync(disk.at("audit.jsonl"), "utf8").trimEnd().split("\n");
    const whole = lines.filter(isJson);
    expect([lines.length - whole.length <= 1, whole.at(-1)?.includes('"subject":"after"')]).toEqual([true, true]);
    // Each change is in the file or in the log.
    const changes = 1 + refused.length + (made - KEYS_OF_START - 1) + 1;
    expect(whole.length + disk.told("the audit log cannot be written")).toBe(changes);
    observe(
      174,
      `20 changes: 503 \`key_store_failed\`; 20 requests: 200, all in the usage afterwards; ${whole.length} changes in the audit log, ${changes - whole.length} in the log`,
    );
  }, 60_000);

  test("row 175: is read-only or full, or is not there, when a gateway starts: it says which file, and the keys are there afterwards", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pointsman-fault-disk-"));
    try {
      const { exitCode, stdout } = Bun.spawnSync(["unshare", "--mount", "bash", "-c", STARTS, folder, BIN]);
      const said = stdout.toString();
      expect(exitCode).toBe(0);
      expect(said.split("\n").filter((line) => line !== "")).toEqual([
        `pointsman: config: key_store ${folder}/keys.db: EROFS: read-only file system, open '${folder}/keys.db'`,
        "2",
        `pointsman: config: audit_log ${folder}/audit: EROFS: read-only file system, open '${folder}/audit'`,
        "2",
        `pointsman: config: key_store ${folder}/keys.db: disk I/O error; no space is left on its disk`,
        "2",
        `pointsman: config: key_store ${folder}/none/keys.db: ENOENT: no such file or directory, open '${folder}/none/keys.db'`,
        "2",
        "kept",
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    observe(
      175,
      "read-only, full, no folder: the option, the file and the reason, and exit code 2; the key is there afterwards",
    );
  }, 60_000);

  test("row 176: vanishes: known keys stay in force, changes are refused, and one line says so", async () => {
    const { key } = await disk.create("last");
    disk.run("umount", "--lazy");
    await eventually(
      () => disk.told("the key store cannot be read; known keys stay in force") === 1,
      "the log says so",
    );
    const { status, error } = await disk.create("lost");
    expect([status, error?.code]).toEqual([503, "key_store_failed"]);
    expect(error?.message).toContain("the file was deleted; put it back, or start the gateway anew");
    for (let count = 0; count < 10; count += 1) expect(await disk.ask(key)).toBe(200);
    expect(disk.told("the key store cannot be read; known keys stay in force")).toBe(1);
    observe(176, "a change: 503 `key_store_failed`; 10 requests with a known key: 200; one line in the log");
  }, 60_000);
});

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

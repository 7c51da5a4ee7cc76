import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Server } from "bun";

const ADMIN_KEY = "soak-admin";
/** Pause between two turns of an operator, ms. */
const TURN_MS = 1000;
/** Wrong keys that each turn tries. */
const WRONG_KEYS = 20;
/** The collector refuses all traces for so many of its turns, and then takes as many. */
const COLLECTOR_TURNS = 20;
/** Old texts of keys stay valid for so long after a rotation, s. */
const GRACE_SECS = 5;

/** What an operator asks for, and the status of the answer that is right. */
interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  readonly key?: string;
  readonly status?: number;
}

/**
 * A gateway with everything that can be turned on: keys of the file and of a key store, limits, an audit log, traces to a collector that is away half
 * of the time, a recording and a shadow policy; and the people who use it: they change keys and the configuration, read every page and
 * try wrong keys, as long as a soak runs.
 */
export class SoakOperators implements Disposable {
  /** Of the gateway. */
  readonly flags: readonly string[];
  /** Answers that differ from what is right. */
  readonly wrongAnswers: string[] = [];
  turns = 0;
  readonly #config: string;
  readonly #collector: Server<undefined>;
  #isOver = false;

  constructor(dir: string) {
    mkdirSync(dir, { recursive: true });
    this.#config = join(dir, "soak.yaml");
    writeFileSync(this.#config, configOf(0));
    this.#collector = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        await request.arrayBuffer();
        return this.turns % (2 * COLLECTOR_TURNS) < COLLECTOR_TURNS
          ? Response.json({})
          : new Response("away", { status: 503 });
      },
    });
    this.flags = [
      ...["--config", this.#config, "--admin-api-key", ADMIN_KEY],
      ...["--key-store", join(dir, "keys.db"), "--audit-log", join(dir, "audit.log"), "--audit-log-max-mb", "1"],
      ...["--record", join(dir, "traffic.jsonl"), "--record-max-mb", "16"],
      ...["--otlp-traces-endpoint", `127.0.0.1:${this.#collector.port}`, "--traces-sample-ratio", "0.2"],
    ];
  }

  /** For those who change workers. */
  get headers(): Readonly<Record<string, string>> {
    return { authorization: `Bearer ${ADMIN_KEY}` };
  }

  /** Resolves after `stop`. */
  async workInTurn(origin: string): Promise<void> {
    for (; !this.#isOver; this.turns += 1) {
      await Bun.sleep(TURN_MS);
      await this.#changeKeys(origin);
      await this.#changeConfiguration(origin);
      await this.#look(origin);
      for (let wrong = 0; wrong < WRONG_KEYS; wrong += 1) {
        await this.#expectRefusal(origin, `wrong-${this.turns}-${wrong}`);
      }
    }
  }

  stop(): void {
    this.#isOver = true;
  }

  [Symbol.dispose](): void {
    this.stop();
    void this.#collector.stop(true);
  }

  /** A key's whole life, with a request by each of its texts. */
  async #changeKeys(origin: string): Promise<void> {
    const name = `team-${this.turns}`;
    const made = await this.#call(origin, {
      method: "POST",
      path: "/keys",
      body: { name, requests_per_minute: 100, tokens_per_minute: 1_000_000, max_concurrent_requests: 4 },
      status: 201,
    });
    const rotated = await this.#call(origin, {
      method: "POST",
      path: `/keys/${name}/rotate`,
      body: { grace_secs: GRACE_SECS },
    });
    const keys = [textOf(made), textOf(rotated)];
    for (const key of keys) await this.#ask(origin, key);
    await this.#call(origin, { method: "PATCH", path: `/keys/${name}`, body: { requests_per_minute: 50 } });
    await this.#call(origin, { method: "DELETE", path: `/keys/${name}` });
    for (const key of keys) await this.#expectRefusal(origin, key);
  }

  /** By the file, by a document and back. */
  async #changeConfiguration(origin: string): Promise<void> {
    writeFileSync(this.#config, configOf(this.turns));
    await this.#call(origin, { method: "POST", path: "/config/reload" });
    const headers = { ...this.headers, "content-type": "application/yaml" };
    await this.#answerOf(`${origin}/config`, { method: "POST", headers, body: configOf(this.turns + 1) }, 200);
    await this.#call(origin, { method: "POST", path: "/config/rollback" });
  }

  async #look(origin: string): Promise<void> {
    for (const path of ["/workers", "/usage", "/policies", "/config", "/config/history", "/debug/decisions", "/keys"]) {
      await this.#call(origin, { method: "GET", path });
    }
    await this.#ask(origin, "client-key", { "x-pointsman-explain": "1", "x-pointsman-admin-key": ADMIN_KEY });
  }

  /** A request to a worker with a valid key. The worker may be killed meanwhile, so only what a wrong key would get is wrong. */
  async #ask(origin: string, key: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...more };
    const response = await fetch(origin + CHAT, { method: "POST", headers, body: JSON.stringify(QUESTION), tls: ANY });
    const text = await response.text();
    if (response.status === 401 || response.status === 429)
      this.wrongAnswers.push(`a valid key: ${response.status} ${text}`);
  }

  async #expectRefusal(origin: string, key: string): Promise<void> {
    await this.#call(origin, { method: "POST", path: CHAT, body: QUESTION, key, status: 401 });
  }

  async #call(origin: string, { method, path, body, key = ADMIN_KEY, status = 200 }: Call): Promise<unknown> {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    return this.#answerOf(
      `${origin}${path}`,
      { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) },
      status,
    );
  }

  async #answerOf(url: string, init: RequestInit, status: number): Promise<unknown> {
    const response = await fetch(url, { ...init, tls: ANY });
    const text = await response.text();
    if (response.status === status) return text === "" ? undefined : JSON.parse(text);
    this.wrongAnswers.push(`${init.method} ${new URL(url).pathname} ${response.status} ${text.slice(0, 300)}`);
    return undefined;
  }
}

/** Clients here do not know the authority of the gateway's certificate. */
const ANY = { rejectUnauthorized: false };

const CHAT = "/v1/chat/completions";
const QUESTION = { model: "bench", messages: [{ role: "user", content: "hello" }] };

function textOf(answer: unknown): string {
  return typeof answer === "object" && answer !== null && "key" in answer ? String(answer.key) : "none";
}

/** Another limit, another level of the log and another shadow policy in each turn. */
function configOf(turn: number): string {
  return `
log_level: ${turn % 3 === 0 ? "debug" : "info"}
queue_size: ${100 + (turn % 7)}
shadow_policy: ${["cache_aware", "lmetric", "round_robin"][turn % 3]}
model_routes:
  - model: bench-alias
    targets: [bench]
api_keys:
  - name: clients
    key: client-key
    requests_per_minute: ${1_000_000 + turn}
    tokens_per_minute: 1000000000
    max_concurrent_requests: 1000
`;
}

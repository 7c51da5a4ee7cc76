import { type Engines, startEngines } from "./engines.ts";
import { freePort } from "./targets.ts";

/** When the gateway may have lost requests to a worker, performance.now(). */
interface Loss {
  readonly from: number;
  to: number;
}

const KILL_EVERY_MS = 7000;
const CHANGE_EVERY_MS = 2000;
/** How long a killed engine is away, ms. */
const AWAY_MS = 1500;
/** An error may be told so long after what caused it, ms. */
const ECHO_MS = 3000;

/** Engines that are killed and come back, and a registry that is changed over its API, as long as a soak runs. */
export class SoakFleet implements AsyncDisposable {
  readonly #logs: string;
  readonly #ports: readonly number[];
  readonly #engines = new Map<number, Engines>();
  readonly #losses: Loss[] = [];
  /** What the API answered that it should not have. */
  readonly apiErrors: string[] = [];
  /** Of each call of the API. */
  headers: Readonly<Record<string, string>> = {};
  kills = 0;
  changes = 0;
  #isOver = false;

  private constructor(logs: string, ports: readonly number[]) {
    this.#logs = logs;
    this.#ports = ports;
  }

  static async start(logs: string, count: number): Promise<SoakFleet> {
    const fleet = new SoakFleet(
      logs,
      Array.from({ length: count }, () => freePort()),
    );
    for (const port of fleet.#ports) await fleet.#startEngine(port);
    return fleet;
  }

  get urls(): readonly string[] {
    return this.#ports.map((port) => `http://127.0.0.1:${port}`);
  }

  /** Whether an engine was killed shortly before. */
  explains(at: number): boolean {
    return this.#losses.some(({ from, to }) => at >= from && at <= to + ECHO_MS);
  }

  /** Kills one engine after the other, each of which comes back. Resolves after `stop`. */
  async killInTurn(): Promise<void> {
    for (let turn = 0; !this.#isOver; turn += 1) {
      await this.#pause(KILL_EVERY_MS);
      const port = this.#ports[turn % this.#ports.length];
      if (this.#isOver || port === undefined) return;
      const loss = { from: performance.now(), to: Number.POSITIVE_INFINITY };
      this.#losses.push(loss);
      await this.#engines.get(port)?.program.kill();
      this.kills += 1;
      await Bun.sleep(AWAY_MS);
      await this.#startEngine(port);
      loss.to = performance.now();
    }
  }

  /** Relabels, removes and adds workers over the API. Resolves after `stop`, with all workers there. */
  async changeInTurn(origin: string): Promise<void> {
    for (let turn = 0; !this.#isOver; turn += 1) {
      await this.#pause(CHANGE_EVERY_MS);
      // One at a time, and from the other end than the kills, so that there is always somebody to ask.
      const url = this.urls.at(-1 - (turn % this.#ports.length)) ?? "";
      const id = await this.#idOf(origin, url);
      await this.#call(origin, "PATCH", `/workers/${id}`, { labels: { turn: String(turn) } });
      await this.#call(origin, "DELETE", `/workers/${id}`);
      await this.#call(origin, "POST", "/workers", { url });
      this.changes += 3;
    }
  }

  stop(): void {
    this.#isOver = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    for (const { program } of this.#engines.values()) await program.stop();
  }

  async #startEngine(port: number): Promise<void> {
    this.#engines.set(port, await startEngines(this.#logs, { firstPort: port, ports: 1 }));
  }

  async #pause(ms: number): Promise<void> {
    const until = performance.now() + ms;
    // oxlint-disable-next-line no-unmodified-loop-condition -- stop() is called meanwhile
    while (!this.#isOver && performance.now() < until) await Bun.sleep(100);
  }

  async #idOf(origin: string, url: string): Promise<string> {
    const { workers } = (await (await fetch(`${origin}/workers`, { headers: this.headers })).json()) as {
      workers: readonly { readonly id: string; readonly url: string; readonly status: string }[];
    };
    return workers.find((worker) => worker.url === url && worker.status !== "draining")?.id ?? "none";
  }

  async #call(origin: string, method: string, path: string, body?: object): Promise<void> {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: { ...this.headers, "content-type": "application/json" },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) this.apiErrors.push(`${method} ${path.replace(/[\w-]{20,}/, ":id")} ${response.status} ${text}`);
  }
}

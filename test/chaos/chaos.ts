import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RawEngine, startRawEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { ELSEWHERE, type GatewayProcess, startProcess } from "../support/process.ts";
import { type Ending, visit } from "./clients.ts";
import { Random } from "./random.ts";
import { behave } from "./worker-faults.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly threads: number;
  readonly durationMs: number;
  /** Clients at the same time. */
  readonly clients: number;
}

export interface ChaosReport {
  /** How often each kind of client came to each end. */
  readonly endings: ReadonlyMap<string, number>;
  /** What must not be, in sentences. */
  readonly wrong: readonly string[];
  readonly changes: number;
  readonly rssMb: { readonly before: number; readonly after: number };
}

const WORKERS = 5;
const REQUEST_SECS = 4;
/** Over the gateway's own bound, for a machine that does other things as well, ms. */
const SLACK_MS = 4000;
const FLAGS = [
  ["--request-timeout-secs", String(REQUEST_SECS)],
  ["--first-byte-timeout-secs", "1"],
  ["--idle-timeout-secs", "1"],
  ["--connect-timeout-secs", "0.5"],
  ["--body-stall-timeout-secs", "2"],
  ["--client-stall-timeout-secs", "2"],
  ["--worker-startup-check-interval", "0.05"],
  ["--health-check-interval-secs", "0.3"],
  ["--drain-timeout-secs", "1"],
  ["--max-concurrent-requests", "24"],
  ["--queue-size", "16"],
  ["--queue-timeout-secs", "1"],
  ["--max-connections-per-worker", "8"],
  ["--cb-timeout-duration-secs", "1"],
  ["--continue-streams", "chaos"],
  ["--shutdown-delay-secs", "0"],
  ["--log-level", "warn"],
].flat();

/** Fails now and then, as an operator's policy may. */
const POLICY = `
let turn = 0;
export default { name: "chaotic", create: () => ({ name: "chaotic", select(candidates) {
  turn += 1;
  if (turn % 97 === 0) throw new Error("chaos");
  if (turn % 89 === 0) return candidates.length;
  return turn % candidates.length;
} }) };`;

/**
 * Faulty workers, clients of all kinds and an operator who changes things, all at once, on a gateway process of its own;
 * then the load ends, and the gateway is looked at. The seed decides who does what; what meets what is the machine's affair.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const random = new Random(options.seed);
  const policy = join(ELSEWHERE, "chaotic.ts");
  writeFileSync(policy, POLICY);
  const policyFlags = random.chance(0.5)
    ? ["--policy-module", policy, "--policy", "chaotic"]
    : ["--policy", "cache_aware"];
  const gateway = await startProcess([...FLAGS, "--threads", String(options.threads), ...policyFlags]);
  const fleet = new ChaosFleet(gateway, random.fork());
  try {
    await fleet.start();
    const rssBefore = gateway.rssMb();
    const endings: Ending[] = [];
    const until = performance.now() + options.durationMs;
    const operator = fleet.changeUntil(until);
    let count = 0;
    const settings = { url: gateway.url, mostMs: REQUEST_SECS * 1000 + SLACK_MS };
    const lane = async (own: Random): Promise<void> => {
      while (performance.now() < until) {
        endings.push(...(await visit({ ...settings, random: own, nextId: () => `${options.seed}-${(count += 1)}` })));
      }
    };
    await Promise.all([operator, ...Array.from({ length: options.clients }, () => lane(random.fork()))]);
    const wrong = [
      ...endings.flatMap(({ wrong: what }) => what ?? []),
      ...fleet.wrong,
      ...(await rest(gateway, fleet)),
    ];
    const rssMb = { before: rssBefore, after: gateway.rssMb() };
    gateway.signal("SIGTERM");
    const code = await Promise.race([gateway.exited, Bun.sleep(10_000).then(() => "no code")]);
    if (code !== 0) wrong.push(`the gateway ended with ${code}`);
    const defects = gateway.lines().filter(({ msg }) => msg === "defect");
    wrong.push(...defects.map((line) => `a defect in the log: ${JSON.stringify(line)}`));
    return { endings: counted(endings), wrong, changes: fleet.changes, rssMb };
  } finally {
    await gateway[Symbol.asyncDispose]();
    await fleet[Symbol.asyncDispose]();
  }
}

function counted(endings: readonly Ending[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { kind, outcome } of endings) {
    const key = `${kind}: ${outcome}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Longest that a gateway may need to come to rest once nobody asks any more, ms. */
const REST_MS = REQUEST_SECS * 1000 + SLACK_MS;
const GAUGES = ["pointsman_requests_in_flight", "pointsman_admitted_requests", "pointsman_queue_depth"];

/** What is not at rest, and what a clean fleet then does not answer. */
async function rest(gateway: GatewayProcess, fleet: ChaosFleet): Promise<string[]> {
  const wrong: string[] = [];
  for (const gauge of GAUGES) {
    let value = 0;
    const until = performance.now() + REST_MS;
    do {
      value = await gateway.metric(gauge);
      if (value !== 0) await Bun.sleep(50);
    } while (value !== 0 && performance.now() < until);
    if (value !== 0) wrong.push(`${gauge} is ${value} at rest`);
  }
  wrong.push(...(await fleet.becomeClean()));
  for (let count = 0; count < 20; count += 1) {
    const content = `«rest-${count}»`;
    const response = await post(`${gateway.url}/v1/chat/completions`, {
      model: "clean",
      stream: count % 2 === 0,
      messages: [{ role: "user", content }],
    });
    const text = await response.text();
    // An operator's policy may still fail, and says so.
    const isRight = (response.status === 200 && text.includes(content)) || text.includes("policy_failed");
    if (!isRight) wrong.push(`a clean worker's answer: ${response.status} ${text.slice(0, 200)}`);
  }
  return wrong;
}

interface Listed {
  readonly id: string;
  readonly url: string;
  readonly status: string;
  readonly load: number;
}

/** Workers that misbehave, and who adds, changes and removes them. */
class ChaosFleet implements AsyncDisposable {
  readonly #gateway: GatewayProcess;
  readonly #random: Random;
  readonly #engines = new Set<RawEngine>();
  readonly wrong: string[] = [];
  changes = 0;

  constructor(gateway: GatewayProcess, random: Random) {
    this.#gateway = gateway;
    this.#random = random;
  }

  async start(): Promise<void> {
    await Promise.all(Array.from({ length: WORKERS }, () => this.#add("chaos", 0.25)));
  }

  /** An operator who changes something every now and then. */
  async changeUntil(until: number): Promise<void> {
    while (performance.now() < until) {
      await Bun.sleep(50 + this.#random.below(200));
      const active = (await this.#list()).filter(({ status }) => status !== "draining");
      const { id } = active.length > 0 ? this.#random.pick(active) : { id: "none" };
      const change = this.#random.pick(["add", "remove", "relabel", "flush", "look"] as const);
      if (change === "add" || active.length < 3) await this.#add("chaos", this.#random.pick([0, 0.2, 1]));
      else if (change === "remove" && active.length > 4) await this.#call("DELETE", `/workers/${id}`);
      else if (change === "relabel")
        await this.#call("PATCH", `/workers/${id}`, { labels: { turn: String(this.changes) } });
      else if (change === "flush") await this.#call("POST", "/flush_cache");
      else await this.#call("GET", "/metrics");
      this.changes += 1;
    }
  }

  /** Takes all of them out, sees that nothing is left of them, and brings one that behaves. */
  async becomeClean(): Promise<string[]> {
    for (const { id, load, url } of await this.#list()) {
      if (load !== 0) this.wrong.push(`${url} has a load of ${load} at rest`);
      await this.#call("DELETE", `/workers/${id}?wait=true`);
    }
    const left = await this.#list();
    await this.#add("clean", 0);
    return left.map(({ url, status }) => `${url} was removed and is ${status}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#engines].map((engine) => engine[Symbol.asyncDispose]()));
  }

  async #add(model: string, faulty: number): Promise<void> {
    const random = this.#random.fork();
    const idleCloseMs = 200 + random.below(2000);
    const engine = await startRawEngine((exchange) => behave(exchange, faulty, random), { idleCloseMs });
    this.#engines.add(engine);
    await this.#call("POST", "/workers?wait=true", { url: engine.url, model_id: model });
  }

  async #list(): Promise<readonly Listed[]> {
    const response = await fetch(`${this.#gateway.url}/workers`);
    return ((await response.json()) as { workers: readonly Listed[] }).workers;
  }

  /** Someone else may have removed what it is about; nothing else may go wrong. */
  async #call(method: string, path: string, body?: object): Promise<void> {
    const startedAt = performance.now();
    const response = await fetch(this.#gateway.url + path, {
      method,
      headers: { "content-type": "application/json" },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    const tookMs = performance.now() - startedAt;
    const isRight = response.ok || response.status === 404 || response.status === 503;
    if (!isRight || tookMs > SLACK_MS * 2) {
      this.wrong.push(`${method} ${path}: ${response.status} after ${tookMs.toFixed(0)} ms: ${text.slice(0, 200)}`);
    }
  }
}

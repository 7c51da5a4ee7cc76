import type { Bound } from "../lib/bounds.ts";
import type { Section } from "../lib/section.ts";
import { POLICIES } from "../../src/policy/policies.ts";
import { POLICY_NAMES } from "../../src/policy/policy-names.ts";
import { createPolicy, requestWith } from "../../test/support/candidates.ts";
import type { Policy, RequestFeatures } from "../../src/policy/policy.ts";
import { hashPrompt } from "../../src/policy/prefix-blocks.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";

const MODEL = "bench";
const FLEETS = [8, 1000, 10_000];
const PROMPTS = [300, 8192, 409_600];
/** Long enough for the compiler to have done its work, ms. */
const MIN_MS = 150;
const CHANGES = 200;

const AFTER_CHANGE = "list after a change";

const slowest: Bound = {
  what: "selection among 10,000 workers, small prompt, the slowest policy",
  limit: 20,
  unit: " µs",
  value: (results) => {
    const values = POLICY_NAMES.flatMap((name) => results.median(rowOf(name, 300), "fleet10000") ?? []);
    return values.length > 0 ? Math.max(...values) : undefined;
  },
};

/** The default policy with the figure that its page names. */
const usual: Bound = {
  what: "selection among 8 workers by least_ttft, small prompt",
  limit: 5,
  unit: " µs",
  value: (results) => results.median(rowOf("least_ttft", 300), "fleet8"),
};

/** Policies that read the prompt. */
const READERS: ReadonlySet<string> = new Set(["least_ttft", "cache_aware"]);

export const selection: Section = {
  name: "selection",
  title: "A choice alone",
  note:
    "Microseconds for one `pick` and its end among workers of the real registry, in one process, no sockets; and with 10,000 workers the first look " +
    "at the registry after one of them has come, which builds its list anew.",
  columns: [
    { metric: "fleet8", title: "8 workers", digits: 2 },
    { metric: "fleet1000", title: "1,000 workers", digits: 2 },
    { metric: "fleet10000", title: "10,000 workers", digits: 2 },
  ],
  bounds: [slowest, usual],
  maxSecs: 60,
  async measure(bench) {
    const fleets = FLEETS.map((count) => ({ count, fleet: createFleet(count) }));
    await bench.rounds(async () => {
      for (const row of POLICIES) {
        const { name } = row;
        for (const bytes of READERS.has(name) ? PROMPTS : [300]) {
          const features = requests(bytes);
          for (const { count, fleet } of fleets) {
            const policy = createPolicy(row, {}, { now: () => performance.now() });
            bench.record(rowOf(name, bytes), `fleet${count}`, microsPerPick(policy, fleet.registry, features));
          }
        }
      }
      for (const { count, fleet } of fleets) {
        bench.record(AFTER_CHANGE, `fleet${count}`, microsAfterChange(fleet));
      }
    });
  },
};

function rowOf(policy: string, bytes: number): string {
  return `${policy}, prompt of ${bytes} bytes`;
}

interface Fleet {
  readonly registry: WorkerRegistry;
  /** Registers one more, which can take requests at once. Its id. */
  add(): string;
}

/** Workers with some load each, as the gateway has them. */
function createFleet(count: number): Fleet {
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const factory = new WorkerFactory({ ledger });
  let added = 0;
  const add = (): string => {
    added += 1;
    const worker = factory.createFromUrl(`http://10.${added >> 16}.${(added >> 8) & 255}.${added & 255}:8000`);
    const id = registry.register(worker);
    registry.update(id, { status: "ready", info: { ...worker.info, models: [MODEL] } });
    return id;
  };
  for (let index = 0; index < count; index += 1) add();
  for (const { slot } of registry.all()) {
    for (let load = (slot * 7919) % 50; load > 0; load -= 1) ledger.charge(slot, 100);
  }
  return { registry, add };
}

/** Prompts of one length that share their first half with some of the others, as conversations do. */
function requests(bytes: number): RequestFeatures[] {
  return Array.from({ length: 64 }, (_, index) => {
    const prompt = Buffer.alloc(bytes, `conversation ${index % 16} `);
    prompt.write(`turn ${index}`, bytes >> 1);
    const key = `session-${index}`;
    return requestWith({
      model: MODEL,
      promptTokens: bytes >> 2,
      promptBytes: () => prompt,
      // Each time that it is asked it counts as a new request.
      promptBlocks: () => hashPrompt(prompt),
      routingKey: () => key,
    });
  });
}

/** From the registry's list to a worker, as for every request. */
function microsPerPick(policy: Policy, registry: WorkerRegistry, all: readonly RequestFeatures[]): number {
  let count = 0;
  let from = 0;
  for (const ms of [MIN_MS / 3, MIN_MS]) {
    count = 0;
    from = performance.now();
    while (performance.now() - from < ms) {
      for (const request of all) {
        const picked = policy.pick(registry.getWorkersForModel(MODEL, "http").available, request);
        if (typeof picked !== "number") picked.onEnd?.({ outcome: "answered", ms: 0, usage: undefined });
      }
      count += all.length;
    }
  }
  return ((performance.now() - from) * 1000) / count;
}

function microsAfterChange({ registry, add }: Fleet): number {
  let micros = 0;
  for (let change = 0; change < CHANGES; change += 1) {
    const id = add();
    const from = performance.now();
    registry.getWorkersForModel(MODEL, "http");
    micros += (performance.now() - from) * 1000;
    registry.remove(id);
  }
  return micros / CHANGES;
}

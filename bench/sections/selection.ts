import { createFleet, type Fleet, FLEET_MODEL } from "../lib/bench-fleet.ts";
import type { Bound } from "../lib/bounds.ts";
import { timeChoices } from "../lib/choices.ts";
import type { Section } from "../lib/section.ts";
import { POLICIES } from "../../src/policy/policies.ts";
import { POLICY_NAMES } from "../../src/policy/policy-names.ts";
import { createPolicy } from "../../test/support/candidates.ts";

const FLEETS = [8, 1000, 10_000];
const PROMPT = { bytes: 300, areNew: false };
const CHANGES = 200;

const AFTER_CHANGE = "list after a change";

const slowest: Bound = {
  what: "selection among 10,000 workers, small prompt, the slowest policy",
  limit: 20,
  unit: " µs",
  value: (results) => {
    const values = POLICY_NAMES.flatMap((name) => results.median(name, "fleet10000") ?? []);
    return values.length > 0 ? Math.max(...values) : undefined;
  },
};

/** The default policy with the figure that its page names. */
const usual: Bound = {
  what: "selection among 8 workers by least_ttft, small prompt",
  limit: 5,
  unit: " µs",
  value: (results) => results.median("least_ttft", "fleet8"),
};

export const selection: Section = {
  name: "selection",
  title: "A choice by each policy",
  note:
    "Microseconds for one `pick` and its end among workers of the real registry, prompts of 300 bytes, in one process, no sockets; and with 10,000 workers the first look " +
    "at the registry after one of them has come, which builds its list anew.",
  columns: [
    { metric: "fleet8", title: "8 workers", digits: 2 },
    { metric: "fleet1000", title: "1,000 workers", digits: 2 },
    { metric: "fleet10000", title: "10,000 workers", digits: 2 },
  ],
  bounds: [slowest, usual],
  maxSecs: 100,
  async measure(bench) {
    const fleets = FLEETS.map((count) => ({ count, fleet: createFleet(count) }));
    await bench.rounds(async () => {
      for (const row of POLICIES) {
        for (const { count, fleet } of fleets) {
          const policy = createPolicy(row, {}, { now: () => performance.now() });
          bench.record(row.name, `fleet${count}`, timeChoices(policy, fleet, PROMPT).choice);
        }
      }
      for (const { count, fleet } of fleets) {
        bench.record(AFTER_CHANGE, `fleet${count}`, microsAfterChange(fleet));
      }
    });
  },
};

function microsAfterChange({ registry, add }: Fleet): number {
  let micros = 0;
  for (let change = 0; change < CHANGES; change += 1) {
    const id = add();
    const from = performance.now();
    registry.getWorkersForModel(FLEET_MODEL, "http");
    micros += (performance.now() - from) * 1000;
    registry.remove(id);
  }
  return micros / CHANGES;
}

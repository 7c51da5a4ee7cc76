import type { Bound } from "../lib/bounds.ts";
import { createFleet } from "../lib/bench-fleet.ts";
import { timeChoices } from "../lib/choices.ts";
import type { Section } from "../lib/section.ts";
import { cacheAware } from "../../src/policy/cache-aware.ts";
import type { PolicyRow } from "../../src/policy/define-policy.ts";
import { leastTtft } from "../../src/policy/least-ttft/least-ttft.ts";
import { createPolicy } from "../../test/support/candidates.ts";

const FLEETS = [8, 64, 1000, 10_000];
const PROMPTS = [300, 8192, 102_400, 409_600];
const ROWS: readonly (readonly [policy: PolicyRow, areNew: boolean])[] = [
  [leastTtft, false],
  [leastTtft, true],
  [cacheAware, false],
];

export const choice: Section = {
  name: "choice",
  title: "A choice by the prompt",
  note:
    "Microseconds for hashing a prompt's blocks, and apart from that for one `pick` and its end, among workers of the real registry. 64 prompts in turn, of which four " +
    "share each first half; either the same ones again and again, or each with a second half that was never seen.",
  columns: [
    { metric: "hash", title: "hash", digits: 2 },
    ...FLEETS.map((count) => ({ metric: metricOf(count), title: `${count.toLocaleString("en")} workers`, digits: 2 })),
  ],
  bounds: [boundOf(8, 5), boundOf(10_000, 20)],
  maxSecs: 100,
  async measure(bench) {
    const fleets = FLEETS.map((count) => ({ count, fleet: createFleet(count) }));
    await bench.rounds(async () => {
      for (const [policy, areNew] of ROWS) {
        for (const bytes of PROMPTS) {
          const row = rowOf(policy, bytes, areNew);
          for (const { count, fleet } of fleets) {
            const instance = createPolicy(policy, {}, { now: () => performance.now() });
            const times = timeChoices(instance, fleet, { bytes, areNew });
            bench.record(row, "hash", times.hash);
            bench.record(row, metricOf(count), times.choice);
          }
        }
      }
    });
  },
};

function metricOf(count: number): string {
  return `fleet${count}`;
}

function rowOf({ name }: PolicyRow, bytes: number, areNew: boolean): string {
  return `${name}, prompt of ${bytes.toLocaleString("en")} bytes${areNew ? ", half of it new" : ""}`;
}

/** Whatever the prompt; hashing is the prompt's cost, not the choice's. */
function boundOf(count: number, limit: number): Bound {
  return {
    what: `a choice by least_ttft among ${count.toLocaleString("en")} workers, with hashes, the slowest prompt`,
    limit,
    unit: " µs",
    value: (results) => {
      const rows = PROMPTS.flatMap((bytes) => [false, true].map((areNew) => rowOf(leastTtft, bytes, areNew)));
      const values = rows.flatMap((row) => results.median(row, metricOf(count)) ?? []);
      return values.length > 0 ? Math.max(...values) : undefined;
    },
  };
}

import { describe, expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { CLEARLY_BETTER, OutlierTrial } from "./outlier-trial.ts";
import { seededRandom } from "../simulate/seeded-random.ts";
import type { Count } from "./failure-counts.ts";

const worker = setUpFleet().add("http://one:1", { modelId: "m" });

function trialOf(own: Count): OutlierTrial {
  const trial = new OutlierTrial({ worker, own, ratioBefore: 0.1, witnesses: new Map(), startedAt: 0 });
  trial.beginProving(0);
  return trial;
}

/** Probes a worker that fails at this share of them until there is a verdict. Returns the verdict and the number of probes. */
function prove(
  own: Count,
  share: number,
  random: () => number,
): { readonly isGuilty: boolean; readonly probes: number } {
  const trial = trialOf(own);
  for (let probes = 1; ; probes += 1) {
    trial.noteProbe(random() < share);
    const isGuilty = trial.verdict(0);
    if (isGuilty !== undefined) return { isGuilty, probes };
  }
}

/** The counts of a worker that fails at this share, at the moment when five requests have failed and at least half, or clearly more than at three others. */
function whenSuspected(share: number, random: () => number): Count {
  let [ended, failed] = [0, 0];
  for (;;) {
    ended += 1;
    if (random() >= share) continue;
    failed += 1;
    const ratio = failed / ended;
    if (failed >= 5 && (ratio >= 0.5 || (ratio >= 0.1 && 3 * ended * ratio >= 5 / CLEARLY_BETTER)))
      return { ended, failed };
  }
}

describe("the probes of a suspected worker", () => {
  test.each([0.2, 0.3, 0.5, 0.7, 1])(
    "show that it fails at a share of %f, though it looked worse when it was suspected",
    (share) => {
      const random = seededRandom(7);
      const runs = Array.from({ length: 1000 }, () => prove(whenSuspected(share, random), share, random));
      expect(runs.filter(({ isGuilty }) => !isGuilty).length / runs.length).toBeLessThan(0.03);
      const mean = runs.reduce((sum, { probes }) => sum + probes, 0) / runs.length;
      expect(mean).toBeLessThan(share < 0.3 ? 30 : 20);
    },
  );

  test.each([0.2, 0.3, 0.5, 0.7, 1])("clear one that is well, after what looked like a share of %f", (share) => {
    const random = seededRandom(7);
    for (const isWell of [0, 0.01]) {
      const runs = Array.from({ length: 400 }, () => prove(whenSuspected(share, random), isWell, random));
      expect(runs.filter(({ isGuilty }) => isGuilty).length / runs.length).toBeLessThan(0.02);
      const mean = runs.reduce((sum, { probes }) => sum + probes, 0) / runs.length;
      expect(mean).toBeLessThan(share < 0.3 ? 70 : 40);
    }
  });

  test("are three where all fail, and four where all are answered, of one that failed at five of five", () => {
    const own = { ended: 5, failed: 5 };
    expect(prove(own, 1, () => 0)).toEqual({ isGuilty: true, probes: 3 });
    expect(prove(own, 0, () => 0)).toEqual({ isGuilty: false, probes: 4 });
  });
});

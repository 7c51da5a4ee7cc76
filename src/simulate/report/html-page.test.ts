import { describe, expect, test } from "bun:test";
import { madeOutcome } from "../../../test/support/outcomes.ts";
import { type Job, USUAL_SITUATION } from "../job.ts";
import { groupsOf } from "../study.ts";
import { htmlPage } from "./html-page.ts";

const JOB = { ...USUAL_SITUATION, durationSecs: 5, load: "chat", isTrace: false, policy: "mine", seed: 1, rate: 1 };
const FACTS = { version: "1.2.3", baseline: "oracle", jobs: [] };
const POLICIES = ["oracle", ...Array.from({ length: 10 }, (_, index) => `policy_${index}`)];

function pageOf(loads: readonly string[], rates: readonly number[], policies = POLICIES): string {
  const outcomes = loads.flatMap((load) =>
    rates.flatMap((rate) =>
      policies.flatMap((policy, index) =>
        [1, 2].map((seed) =>
          madeOutcome({ load, policy, seed, rate, meanMs: 100 + 10 * index + seed, goodput: 1 - index / 20 }),
        ),
      ),
    ),
  );
  return htmlPage(groupsOf(outcomes), FACTS);
}

/** The parts of the page between these tags. */
function all(page: string, tag: string): string[] {
  return page.match(new RegExp(`<${tag}[ >].*?</${tag}>`, "gs")) ?? [];
}

describe("the page", () => {
  const page = pageOf(["chat", "rag"], [1]);

  test("needs nothing else: no address of any kind is in it", () => {
    expect(page).not.toMatch(/\b(?:src|href)="(?!#)/);
    expect(page).not.toMatch(/https?:|url\(|@import/);
  });

  test("has a section for each load, with the ratios, the distribution and a map for each policy", () => {
    const sections = all(page, "section");
    expect(sections).toHaveLength(2);
    expect(all(sections[0] ?? "", "h2")).toEqual(["<h2>chat</h2>"]);
    expect(all(sections[0] ?? "", "svg")).toHaveLength(2 + POLICIES.length);
    expect(all(sections[0] ?? "", "table")[0]?.match(/<tr/g)).toHaveLength(1 + POLICIES.length);
  });

  test("names each policy once in the key of a chart, where it can be reached by keyboard", () => {
    const [, distribution = ""] = all(page, "svg");
    for (const policy of POLICIES) {
      expect(distribution.split(`<g class="key" tabindex="0" data-policy="${policy}">`)).toHaveLength(2);
    }
  });

  test("gives eight policies a color of their own, dashes to the baseline, and grey to the rest", () => {
    const [, distribution = ""] = all(page, "svg");
    const styleOf = (policy: string): string | undefined =>
      new RegExp(`<path class="series (\\w+)" data-policy="${policy}" d="[^"]*L`).exec(distribution)?.[1];
    expect(POLICIES.map(styleOf)).toEqual(["base", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "other", "other"]);
  });

  test("draws goodput by rate only where there are several rates", () => {
    expect(page).not.toContain("goodput by rate");
    expect(pageOf(["chat"], [0.5, 1, 2])).toContain("chat: goodput by rate");
  });

  test("tells each drawing to those who do not see it", () => {
    for (const svg of all(page, "svg")) {
      // What can be reached by keyboard may not be within a picture.
      const role = svg.includes("tabindex") ? "group" : "img";
      expect(svg).toMatch(new RegExp(`^<svg [^>]*role="${role}" aria-label="[^"]{10,}"`));
    }
  });

  test("has no number that is none, and every element is closed", () => {
    expect(page.replace(/<script>.*<\/script>/s, "")).not.toMatch(/NaN|Infinity|undefined/);
    for (const tag of ["svg", "g", "figure", "table", "section", "text"]) {
      expect([tag, page.match(new RegExp(`<${tag}[ >]`, "g"))?.length]).toEqual([
        tag,
        page.match(new RegExp(`</${tag}>`, "g"))?.length,
      ]);
    }
  });

  test("takes a name with markup for text", () => {
    const name = `<script>alert("x")</script>`;
    const odd = pageOf([name], [1], ["oracle", name]);
    expect(odd).not.toContain("<script>alert");
    expect(odd).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;");
  });
});

test("a study without the baseline has no ratios, and a page all the same", () => {
  const page = pageOf(["chat"], [1], ["mine", "yours"]);
  expect(page).not.toContain("mean TTFT divided by that of oracle, with");
  expect(all(page, "svg")).toHaveLength(1 + 2);
});

test("a page says in what way its fleet and its engines are not the usual ones", () => {
  const situationOf = (change: Partial<Job>): string => {
    const page = htmlPage([], { ...FACTS, jobs: [{ ...JOB, ...change }] });
    return /<p class="soft">(.*?)<\/p>/.exec(page)?.[1] ?? "";
  };
  expect(situationOf({})).toBe("version 1.2.3 · 1 seed · 1 gateway · streams.");
  const others: readonly [Partial<Job>, string][] = [
    [{ workers: 12 }, "12 workers"],
    [{ prefillWorkers: 1, handOverUs: 5 }, "1 worker for prefill only, hand-over 5 us a token"],
    [{ kvTokens: 50_000 }, "KV caches of 50000 tokens"],
    [{ slowness: 1.5 }, "steps take 1.5 times as long"],
    [{ slo: { ttftMs: 500, tpotMs: 40 } }, "SLO 500 ms to the first token and 40 ms for each other one"],
    [{ kvReportFactor: 4 }, "engines report 4 times their KV cache"],
    [{ kvReportFactor: undefined }, "engines do not report their KV cache"],
    [{ gateways: 2, newsMs: 50 }, "2 gateways · news 50 ms late"],
    [{ isStream: false }, "whole answers"],
    [{ reportsUsage: false }, "engines report no usage"],
    [{ faults: [{ kind: "die", worker: 1, atMs: 2000 }] }, "die of worker 1 at 2 s"],
  ];
  for (const [change, text] of others) expect(situationOf(change)).toContain(text);
});

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PolicyModule } from "../policy/policy-module.ts";
import { LOADS } from "../simulate/loads/loads.ts";
import { readSimulateWords, simulateArguments, type SimulateArguments } from "./simulate-arguments.ts";

const QUIET = { out: () => undefined, err: () => undefined, columns: undefined };

function read(...argv: readonly string[]): SimulateArguments {
  return simulateArguments(readSimulateWords(argv, QUIET), 3);
}

function policiesOf({ jobs }: SimulateArguments): string[] {
  return [...new Set(jobs.map(({ policy }) => policy))];
}

describe("the command line of simulate", () => {
  test("without a word runs the usual loads and policies with three seeds, beside the oracle", () => {
    const given = read();
    expect([...new Set(given.jobs.map(({ load }) => load))]).toEqual(["chat", "agent", "rag"]);
    expect(policiesOf(given)[0]).toBe("oracle");
    expect(policiesOf(given)).toContain("smg");
    expect([...new Set(given.jobs.map(({ seed }) => seed))]).toEqual([1, 2, 3]);
    expect([given.threads, given.baseline, given.json, given.plot]).toEqual([3, "oracle", undefined, undefined]);
  });

  test("makes one job for each load, rate, policy and seed", () => {
    const { jobs } = read(
      "--load",
      "chat,rag",
      "--rate",
      "0.5,2",
      "--policies",
      "random",
      "--policies",
      "smg",
      "--seeds",
      "4",
      "--seed",
      "11",
    );
    expect(jobs).toHaveLength(2 * 2 * 3 * 4);
    expect(new Set(jobs.map((job) => JSON.stringify(job))).size).toBe(jobs.length);
    expect(Math.max(...jobs.map(({ seed }) => seed))).toBe(14);
  });

  test("sets the situation of all jobs", () => {
    const [job] = read(
      ...["--load", "rag", "--duration", "60.5", "--workers", "64", "--kv-tokens", "50000", "--slowness", "1.5"],
      ...["--pd", "24", "--hand-over-us", "2.5"],
      ...["--gateways", "4", "--news-ms", "0", "--no-stream", "--no-usage", "--kv-report", "none", "--slo", "500, 40"],
      ...["--fault", "slow:0@60=3,freeze:1@30=6", "--fault", "die:2@40,restart:63@0.5"],
    ).jobs;
    expect(job).toMatchObject({
      durationSecs: 60.5,
      workers: 64,
      kvTokens: 50_000,
      slowness: 1.5,
      prefillWorkers: 24,
      handOverUs: 2.5,
      gateways: 4,
      newsMs: 0,
      isStream: false,
      reportsUsage: false,
      kvReportFactor: undefined,
      slo: { ttftMs: 500, tpotMs: 40 },
      faults: [
        { kind: "slow", worker: 0, atMs: 60_000, slowness: 3 },
        { kind: "freeze", worker: 1, atMs: 30_000, ms: 6000 },
        { kind: "die", worker: 2, atMs: 40_000 },
        { kind: "restart", worker: 63, atMs: 500 },
      ],
    });
  });

  test("runs the policy that the others are compared with, and leaves the oracle out where it is asked to", () => {
    expect(policiesOf(read("--policies", "smg", "--baseline", "random"))).toEqual(["oracle", "smg", "random"]);
    expect(policiesOf(read("--policies", "smg", "--baseline", "random", "--no-oracle"))).toEqual(["smg", "random"]);
    const alone = read("--policies", "smg,random", "--no-oracle");
    expect([policiesOf(alone), alone.baseline]).toEqual([["smg", "random"], "smg"]);
  });

  test("reads a trace once, and tells one that is called like a load from that load", () => {
    const dir = mkdtempSync(join(tmpdir(), "arguments-"));
    const before = process.cwd();
    try {
      process.chdir(dir);
      writeFileSync("chat", '{"timestamp":0,"input_length":600,"output_length":1,"hash_ids":[1,2]}\n');
      const { jobs, traces } = read("--load", "chat", "--trace", "chat", "--policies", "random", "--seeds", "1");
      expect([...traces.keys()]).toEqual(["./chat"]);
      expect(new Set(jobs.map(({ load, isTrace }) => `${load} ${isTrace}`))).toEqual(
        new Set(["chat false", "./chat true"]),
      );
    } finally {
      process.chdir(before);
      rmSync(dir, { recursive: true });
    }
  });

  test("runs a policy of the operator's beside the others, or as the list has it, and never in the place of another", () => {
    const own = (name: string): PolicyModule => ({
      name,
      options: { parse: (given) => given },
      create: () => ({ pick: () => 0 }),
    });
    const listed = (...argv: readonly string[]): string[] =>
      policiesOf(simulateArguments(readSimulateWords([...argv, "--no-oracle"], QUIET), 1, own("mine")));
    expect(listed("--policies", "smg")).toEqual(["smg", "mine"]);
    expect(listed("--policies", "mine:a=1,smg,mine:a=2")).toEqual(["mine:a=1", "smg", "mine:a=2"]);
    expect(listed("--policies", "smg", "--baseline", "mine")).toEqual(["smg", "mine"]);
    expect(() => simulateArguments(readSimulateWords([], QUIET), 1, own("smg"))).toThrow(
      "--policy-module: smg is the name of a policy that is there already",
    );
  });

  test("takes a worker that dies and comes back", () => {
    const faults = read("--fault", "restart:0@50,die:0@20,slow:0@60=2").jobs[0]?.faults;
    expect(faults?.map(({ kind }) => kind)).toEqual(["restart", "die", "slow"]);
  });

  test("takes all loads by one word", () => {
    const loads = new Set(read("--load", "all", "--policies", "random").jobs.map(({ load }) => load));
    expect([...loads]).toEqual(LOADS.map(({ name }) => name));
  });
});

describe("a wrong word is told with its flag", () => {
  const cases: readonly [argv: string, message: string][] = [
    ["--load nope", '--load: unknown load "nope"'],
    ["--policies nope", '--policies: unknown policy "nope"'],
    ["--policies cache_aware:cache_threshold=7", "--policies: the option cache_threshold of the policy cache_aware"],
    ["--baseline nope", '--baseline: unknown policy "nope"'],
    ["--trace /nowhere", "--trace: /nowhere: there is no such file"],
    ["--seeds 0", '--seeds: must be a whole number from 1 to 1000, not "0"'],
    ["--seeds 1.5", '--seeds: must be a whole number from 1 to 1000, not "1.5"'],
    ["--rate 1,-2", '--rate: must be a number above 0, not "-2"'],
    ["--duration x", '--duration: must be a number above 0, not "x"'],
    ["--news-ms -1", '--news-ms: must be a number from 0, not "-1"'],
    ["--news-ms 100", "--news-ms: needs --gateways of at least 2"],
    ["--fault die:1@1.2.3", '--fault: "die:1@1.2.3" must be'],
    ["--kv-report much", '--kv-report: must be a number above 0, not "much"'],
    ["--slo 5", '--slo: must be two times in ms, as 2000,100, not "5"'],
    ["--fault explode:1@2", '--fault: "explode:1@2" must be slow:WORKER@SECS=FACTOR'],
    ["--fault slow:1@2", '--fault: "slow:1@2" must be'],
    ["--fault die:1@2=3", '--fault: "die:1@2=3" must be'],
    ["--workers 2 --pd 2", "--pd: chat has 2 workers: at least one of them must decode"],
    ["--hand-over-us 5", "--hand-over-us: needs --pd"],
    ["--closed-loop", "--closed-loop: needs --trace"],
    ["--model m", "--model: needs --trace"],
    ["--json a.html --plot ./a.html", "--plot: names the file of --json"],
    ["--baseline oracle --no-oracle", "--baseline: --no-oracle leaves the oracle out"],
    ["--policies zzzzzzzz", '--policies: unknown policy "zzzzzzzz"; pointsman simulate --help lists them'],
    ["--rate 1e9", "--load: it would have more than a million requests"],
    ["--load siblings --duration 1e12", "--load: it would have more than a million requests"],
    ["--duration 5 --fault die:0@5", "--fault: second 5: chat ends at second 5"],
    ["--policies pairs", "--policies: pd_separate chooses pairs: it needs --pd"],
    [
      "--policies late_oracle",
      "--policies: late_oracle hears late of other gateways: it needs --gateways and --news-ms",
    ],
    [
      "--policies late_oracle --gateways 2 --news-ms 100 --pd 2",
      "--policies: late_oracle chooses no pairs: leave --pd out",
    ],
    ["--baseline late_oracle --gateways 2", "--policies: late_oracle hears late of other gateways"],
    ["--workers 2 --fault die:2@1", "--fault: worker 2: chat has only 2, from 0"],
    ["--duration 0.001", "--duration: no request of chat comes in 0.001 s at this rate"],
    ["--fault die:0@5,slow:0@6=2", "--fault: worker 0 at second 6: chat has lost it before; restart brings it back"],
    ["--load join --duration 60 --fault slow:7@10=2", "--fault: worker 7 at second 10: join gets it at second 20 only"],
  ];
  for (const [argv, message] of cases) {
    test(argv, () => {
      expect(() => read(...argv.split(" "))).toThrow(message);
    });
  }

  for (const flag of ["--load", "--trace", "--policies", "--rate", "--fault"]) {
    test(`${flag} with nothing in its list`, () => {
      for (const empty of ["", " , "]) expect(() => read(flag, empty)).toThrow(`${flag}: has no value`);
    });
  }

  test("an unknown option", () => {
    expect(() => read("--polices", "x")).toThrow("--policies");
  });
});

test("the help names each load and policy, and fits into 120 columns but for the sentences of policies", () => {
  let out = "";
  const output = { out: (text: string) => (out += text), err: () => undefined, columns: undefined };
  expect(() => readSimulateWords(["--help"], output)).toThrow("outputHelp");
  for (const { name } of LOADS) expect(out).toContain(`  ${name} `);
  for (const text of [
    "Traffic:",
    "Policies:",
    "Fleet:",
    "Report:",
    "Examples:",
    "cache_aware",
    "dynamo_lmetric",
    "oracle",
  ]) {
    expect(out).toContain(text);
  }
  const options = out.slice(0, out.indexOf("Loads:"));
  expect(Math.max(...options.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
});

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { BIN, ELSEWHERE, startProcess } from "../support/process.ts";

const dir = mkdtempSync(join(tmpdir(), "simulate-"));
afterAll(() => rmSync(dir, { recursive: true }));

const PATIENCE_MS = 60_000;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function simulate(...args: readonly string[]): Promise<Ended> {
  const child = Bun.spawn([BIN, "simulate", ...args], { cwd: ELSEWHERE, stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

interface Report {
  readonly groups: readonly {
    readonly load: string;
    readonly policies: readonly {
      readonly policy: string;
      readonly seeds: readonly { readonly requests: number; readonly failed: number; readonly hit_rate: number }[];
    }[];
  }[];
}

describe("pointsman simulate", () => {
  test(
    "prints tables, and writes the same figures as JSON and a page, with several threads",
    async () => {
      const [json, plot] = [join(dir, "a.json"), join(dir, "a.html")];
      const args = ["--load", "chat,unique", "--duration", "8", "--seeds", "2", "--policies", "round_robin,smg"];
      const { code, out, err } = await simulate(...args, "--threads", "2", "--json", json, "--plot", plot);
      expect([code, err]).toEqual([0, ""]);
      for (const text of ["chat: ", "unique: ", "round_robin", "smg", "oracle", "TTFT: time to the first token"]) {
        expect(out).toContain(text);
      }
      const report = JSON.parse(readFileSync(json, "utf8")) as Report;
      expect(report.groups.map(({ load, policies }) => [load, policies.map(({ policy }) => policy)])).toEqual([
        ["chat", ["oracle", "round_robin", "smg"]],
        ["unique", ["oracle", "round_robin", "smg"]],
      ]);
      for (const { policies } of report.groups) {
        for (const { seeds } of policies) expect(seeds.map(({ failed }) => failed)).toEqual([0, 0]);
      }
      expect(readFileSync(plot, "utf8")).toStartWith("<!doctype html>");
      const { out: alone } = await simulate(...args, "--threads", "1", "--json", "-");
      const again = JSON.parse(alone) as Report;
      // Only the times that this machine took differ.
      const without = (one: Report): unknown =>
        JSON.parse(
          JSON.stringify(one, (key, value: unknown) => (key === "took_ms" || key === "decision_us" ? 0 : value)),
        );
      expect(without(again)).toEqual(without(report));
    },
    PATIENCE_MS,
  );

  test(
    "replays what serve has recorded: as many requests, with the sharing that there was",
    async () => {
      const file = join(dir, "traffic.jsonl");
      await using engine = await startEngine({ model: "sim-1" });
      {
        await using gateway = await startProcess(["--threads", "2", "--record", file]);
        await post(`${gateway.url}/workers?wait=true`, { url: engine.url }, { connection: "close" });
        const text = "The same long beginning of each of these prompts. ".repeat(60);
        for (let turn = 0; turn < 12; turn += 1) {
          const body = { model: "sim-1", stream: true, messages: [{ role: "user", content: `${text}${turn}` }] };
          const answer = await post(`${gateway.url}/v1/chat/completions`, body, { connection: "close" });
          await answer.text();
        }
        gateway.signal("SIGINT");
        await gateway.exited;
      }
      const { code, out } = await simulate("--trace", file, "--policies", "passthrough", "--seeds", "1", "--json", "-");
      expect(code).toBe(0);
      const [seed] =
        (JSON.parse(out) as Report).groups[0]?.policies.find(({ policy }) => policy === "passthrough")?.seeds ?? [];
      expect([seed?.requests, seed?.failed]).toEqual([12, 0]);
      // One worker gets all: of twelve prompts eleven find the beginning.
      expect(seed?.hit_rate).toBeGreaterThan(0.8);
    },
    PATIENCE_MS,
  );

  test("says what is wrong with its words in one line, and ends with 2", async () => {
    const broken = join(dir, "broken.jsonl");
    writeFileSync(broken, '{"timestamp":0}\n');
    const cases: readonly [args: readonly string[], message: string][] = [
      [["--policies", "nope"], '--policies: unknown policy "nope"'],
      [["--trace", broken], `--trace: ${broken}:1: input_length must be a number from 0`],
      [
        ["--load", "chat", "--duration", "1", "--no-oracle", "--policies", "random", "--plot", "/nowhere/a.html"],
        "--plot: ",
      ],
      [["--nonsense"], "unknown option '--nonsense'"],
      [["--json", ""], "--json: must name a file"],
      [["--plot", "-"], "--plot: must name a file"],
    ];
    for (const [args, message] of cases) {
      const { code, err } = await simulate(...args);
      expect([code, err]).toEqual([2, expect.stringContaining(message)]);
    }
  });

  test("reads a trace from a pipe, though several runs replay it", async () => {
    const line = (at: number): string => `{"timestamp":${at},"input_length":600,"output_length":2,"hash_ids":[1,2]}\n`;
    const trace = [0, 100, 200].map(line).join("");
    const runs = ["--policies", "random,round_robin", "--seeds", "2", "--threads", "2", "--json", "-"];
    for (const path of ["-", "/dev/stdin"]) {
      const child = Bun.spawn([BIN, "simulate", "--trace", path, ...runs], {
        ...{ cwd: ELSEWHERE, stdin: Buffer.from(trace), stdout: "pipe", stderr: "pipe" },
      });
      const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      expect([code, err]).toEqual([0, ""]);
      const counts = (JSON.parse(out) as Report).groups[0]?.policies.flatMap(({ seeds }) =>
        seeds.map(({ requests }) => requests),
      );
      expect(counts).toEqual([3, 3, 3, 3, 3, 3]);
    }
  });

  test("ends without a word when its reader leaves, and with one line when its output cannot be written", async () => {
    const args = "simulate --load chat --duration 4 --seeds 1 --policies random --no-oracle";
    const run = async (end: string): Promise<Ended> => {
      const child = Bun.spawn(["bash", "-c", `"$1" ${args} ${end}`, "bash", BIN], { stdout: "pipe", stderr: "pipe" });
      const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      return { code, out, err };
    };
    expect(await run("| true; exit ${PIPESTATUS[0]}")).toEqual({ code: 0, out: "", err: "" });
    expect(await run("> /dev/full")).toEqual({
      code: 1,
      out: "",
      err: "pointsman: standard output cannot be written (ENOSPC)\n",
    });
  });

  test("judges a policy of the operator's on its threads, and says in one line how it fails", async () => {
    const rest = [
      "--load",
      "chat",
      "--duration",
      "5",
      "--seeds",
      "2",
      "--threads",
      "2",
      "--policies",
      "random",
      "--no-oracle",
    ];
    const own = join(dir, "own.ts");
    writeFileSync(own, 'export default { name: "last", create: () => ({ pick: (all) => all.length - 1 }) };');
    const { code, out } = await simulate("--policy-module", own, ...rest, "--json", "-");
    expect(code).toBe(0);
    expect((JSON.parse(out) as Report).groups[0]?.policies.map(({ policy }) => policy)).toEqual(["random", "last"]);
    const broken = join(dir, "broken.ts");
    writeFileSync(broken, 'export default { name: "odd", create: () => ({ pick: () => 99 }) };');
    const failed = await simulate("--policy-module", broken, ...rest);
    expect([failed.code, failed.out]).toEqual([2, ""]);
    expect(failed.err).toMatch(
      /^pointsman: --policy-module: chat, odd: odd: pick\(\) returned 99 and should return .*\n$/,
    );
  });

  test("teaches its use by --help, and serve's help names it", async () => {
    const { code, out } = await simulate("--help");
    expect([code, out]).toEqual([0, expect.stringContaining("Examples:")]);
    const child = Bun.spawn([BIN, "--help"], { cwd: ELSEWHERE, stdout: "pipe" });
    expect(await child.stdout.text()).toContain("simulate");
  });
});

import { describe, expect, test } from "bun:test";
import { ConfigError } from "../config/config-error.ts";
import type { Sample } from "./fleet-samples.ts";
import { top, type TopTools } from "./top.ts";
import type { TopArguments } from "./top-command.ts";

const GIVEN: TopArguments = {
  gateway: { url: "http://127.0.0.1:1", keyFile: undefined, caFile: undefined },
  metricsUrl: undefined,
  intervalSecs: 1,
  isOnce: false,
  isJson: false,
};

/** A look at two workers, at this second. */
function look(second: number): Sample {
  const worker = (url: string, inFlight: number, attempts: number): Sample["workers"][number] => ({
    url,
    state: "ready",
    inFlight,
    pendingTokens: 0,
    models: ["m"],
    attempts: attempts * second,
    failed: 0,
    answerTokens: 0,
    promptTokens: 0,
    cachedTokens: 0,
    ttft: [],
  });
  return { at: second * 1000, workers: [worker("http://a:1", 1, 5), worker("http://b:1", 7, 2)] };
}

interface Ran {
  readonly code: number;
  readonly output: string;
  /** What was on the screen at last. */
  readonly screen: string;
}

/** Runs it, with keys that are pressed one after the other, and then `q`. */
async function run(given: Partial<TopArguments>, pressed: string, parts: Partial<TopTools> = {}): Promise<Ran> {
  let [second, output] = [0, ""];
  const keys = [...pressed.split(""), "q"];
  const tools: TopTools = {
    out: (text) => void (output += text),
    look: () => Promise.resolve(look(second)),
    sleep: () => {
      second += 1;
      return Promise.resolve();
    },
    keys: () => keys.shift(),
    size: () => ({ columns: 80, rows: 10 }),
    ...parts,
  };
  const code = await top({ ...GIVEN, ...given }, tools);
  return { code, output, screen: output.split("\u001b[2J").at(-1) ?? "" };
}

describe("on a terminal", () => {
  test("shows the workers with their rates, on a screen of its own that it leaves again", async () => {
    const { code, output, screen } = await run({}, "...", { size: () => ({ columns: 200, rows: 10 }) });
    expect(code).toBe(0);
    expect(screen).toContain("workers 2   in flight 8   requests/s 7   tokens/s 0");
    expect(screen.split("\n").find((line) => line.startsWith("http://a:1"))).toMatch(
      /^http:\/\/a:1 +ready +1 +0 +5 +0 +- +- +- +0 % +m$/,
    );
    expect([output.startsWith("\u001b[?1049h"), output.endsWith("\u001b[?1049l")]).toEqual([true, true]);
  });

  test("sorts by what a key chooses", async () => {
    const firstOf = ({ screen }: Ran): string | undefined => screen.split("\n").find((line) => line.startsWith("http"));
    expect(firstOf(await run({}, ".."))).toStartWith("http://a:1");
    expect(firstOf(await run({}, "f.."))).toStartWith("http://b:1");
    expect(firstOf(await run({}, "fr.."))).toStartWith("http://a:1");
  });

  test("fits the terminal", async () => {
    const { screen } = await run({}, "..", { size: () => ({ columns: 20, rows: 4 }) });
    const lines = screen.replace("\u001b[?25h\u001b[?1049l", "").split("\n");
    expect([lines.length, Math.max(...lines.map((line) => line.length))]).toEqual([4, 20]);
  });

  test("goes on while the gateway restarts, and says that it does not answer", async () => {
    let looks = 0;
    const { screen, code } = await run({}, "...", {
      look() {
        looks += 1;
        return looks > 2 ? Promise.reject(new ConfigError("url", "it does not answer")) : Promise.resolve(look(looks));
      },
    });
    expect([code, screen.includes("it does not answer")]).toEqual([0, true]);
  });

  test("leaves the screen as it was where it fails", async () => {
    let output = "";
    let looks = 0;
    const failed = run({}, "..", {
      out: (text) => void (output += text),
      look: () => ((looks += 1) > 1 ? Promise.reject(new Error("broken")) : Promise.resolve(look(0))),
    });
    expect(await failed.catch((error: unknown) => String(error))).toBe("Error: broken");
    expect(output).toEndWith("\u001b[?1049l");
  });
});

describe("elsewhere, and with --once or --json", () => {
  test("prints one table, or its rows", async () => {
    const piped = await run({}, "", { size: () => undefined });
    expect(piped.output.split("\n")[0]).toStartWith("WORKER");
    expect((await run({ isOnce: true }, "")).output).toBe(piped.output);
    const rows: unknown = JSON.parse((await run({ isJson: true }, "")).output);
    const nothing = { ttft_p50_secs: null, ttft_p95_secs: null, cached_share: null, failed_share: 0 };
    const row = { state: "ready", pending_tokens: 0, tokens_per_second: 0, models: ["m"], ...nothing };
    expect(rows).toEqual([
      { url: "http://a:1", in_flight: 1, requests_per_second: 5, ...row },
      { url: "http://b:1", in_flight: 7, requests_per_second: 2, ...row },
    ]);
  });

  test("a gateway that does not answer is told", async () => {
    const refused = run({ isOnce: true }, "", { look: () => Promise.reject(new ConfigError("url", "refused")) });
    expect(await refused.catch((error: unknown) => String(error))).toContain("refused");
  });
});

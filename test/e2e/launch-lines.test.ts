import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { inTurns } from "../support/bounded.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { BIN, ELSEWHERE } from "../support/process.ts";
import { writeTinyModel } from "../support/tiny-model.ts";
import { LAUNCH_LINES, type LaunchLine } from "./launch-lines.ts";

/** What the program did with a line. */
interface Outcome {
  /** Undefined where it served until it was told to end. */
  readonly code: number | undefined;
  readonly complaints: readonly string[];
  readonly notices: readonly string[];
  readonly readiness: number | undefined;
  readonly chat: number | undefined;
}

/** A process takes a core while it starts. */
const AT_ONCE = 3;
/** For a line's engines to be asked and found ready, ms. */
const READY_MS = 20_000;
/** Behind every line, so that it listens on loopback and on free ports. */
const LOOPBACK = "--host 127.0.0.1 --port 0 --prometheus-host 127.0.0.1 --prometheus-port 0 --shutdown-delay-secs 0";

const LITELLM = `model_list:
  - model_name: gpt-4
    litellm_params:
      model: hosted_vllm/gpt-4
litellm_settings: {}
`;

/** Lines that look for pods find a cluster that does not answer. */
const KUBECONFIG = join(ELSEWHERE, "kubeconfig");
writeFileSync(
  KUBECONFIG,
  JSON.stringify({
    "current-context": "none",
    contexts: [{ name: "none", context: { cluster: "none" } }],
    clusters: [{ name: "none", cluster: { server: "http://127.0.0.1:9" } }],
  }),
);

const owned = new AsyncDisposableStack();
const words = new Map<string, string>();
const outcomes = new Map<LaunchLine, Outcome>();

beforeAll(async () => {
  for (const name of ["W1", "W2", "W3", "W4"]) words.set(name, owned.use(await startEngine()).url);
  for (const name of ["D1", "D2"]) words.set(name, owned.use(await startEngine({ dpSize: 8 })).url);
  const tiny = await writeTinyModel();
  for (const name of ["G1", "G2"]) {
    const { tokenizer, path: tokenizerPath } = tiny;
    const engine = await startGrpcEngine({ kind: "vllm", model: "sim-1", tokenizer, tokenizerPath });
    words.set(name, owned.use(engine).url);
  }
  const pair = owned.use(await startPdFleet({ dialect: "mooncake", prefills: 1, decodes: 1 }));
  words.set("M3", pair.prefills[0]?.url ?? "");
  words.set("M4", pair.decodes[0]?.url ?? "");
  const sglang = owned.use(await startPdFleet({ dialect: "sglang" }));
  for (const [index, { url, kvPort }] of sglang.prefills.entries()) {
    words.set(`S${index + 1}`, url).set(`B${index + 1}`, String(kvPort));
  }
  for (const [index, { url }] of sglang.decodes.entries()) words.set(`S${index + 3}`, url);
  words.set("TOKENIZER", join(tiny.path, "tokenizer.json"));
  words.set("LITELLM", join(ELSEWHERE, "litellm.yaml"));
  writeFileSync(words.get("LITELLM") ?? "", LITELLM);
  const results = await inTurns(LAUNCH_LINES, AT_ONCE, run);
  for (const [index, line] of LAUNCH_LINES.entries()) {
    const outcome = results[index];
    if (outcome) outcomes.set(line, outcome);
  }
}, 180_000);

afterAll(() => owned.disposeAsync());

for (const line of LAUNCH_LINES) {
  const verb = typeof line.becomes === "string" ? line.becomes : "is refused with all that is wrong";
  test(`${line.from} (${line.line.slice(0, 60)}) ${verb}`, () => {
    const outcome = outcomes.get(line);
    if (!outcome) throw new Error("it did not run");
    if (typeof line.becomes !== "string") {
      expect([outcome.code, outcome.complaints.length]).toEqual([2, line.becomes.length]);
      for (const [index, start] of line.becomes.entries()) {
        expect(outcome.complaints[index]).toStartWith(start.replace("LITELLM", words.get("LITELLM") ?? ""));
      }
      return;
    }
    expect([outcome.code, outcome.complaints]).toEqual([undefined, []]);
    for (const start of line.notices ?? []) {
      expect(outcome.notices.filter((notice) => notice.startsWith(start))).toBeArrayOfSize(1);
    }
    const said = outcome.notices.filter((notice) => !ADDRESS.test(notice));
    expect(said.length).toBe(line.notices?.length ?? 0);
    expect([outcome.readiness, outcome.chat]).toEqual(line.becomes === "serves" ? [200, 200] : [503, 404]);
  });
}

/** Said of any gateway that listens on more than loopback. */
const ADDRESS = /^(listening on 0\.0\.0\.0 without|the administration on 0\.0\.0\.0 is open to this machine)/;

async function run({ line, becomes }: LaunchLine): Promise<Outcome> {
  const given = line.split(" ").map((word) => word.split(",").map(wordFor).join(","));
  const refused = await refusedBy(given);
  if (refused || typeof becomes !== "string") return refused ?? NOTHING;
  const child = Bun.spawn([BIN, ...given, ...LOOPBACK.split(" ")], {
    cwd: ELSEWHERE,
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, KUBECONFIG },
  });
  let output = "";
  const { promise: listening, resolve } = Promise.withResolvers<string>();
  const read = (async (): Promise<void> => {
    for await (const bytes of child.stdout) {
      output += Buffer.from(bytes).toString();
      const [first = "", ...others] = output.split("\n");
      if (others.length > 0) resolve(first);
    }
    resolve(output);
  })();
  try {
    const { url } = JSON.parse(await listening) as { url: string };
    const readiness = await readinessOf(url, becomes === "serves");
    const headers = { authorization: "Bearer shared-api-key" };
    const chat = await post(`${url}/v1/chat/completions`, HELLO, headers);
    await chat.arrayBuffer();
    child.kill("SIGTERM");
    await Promise.all([child.exited, read]);
    const notices = output.split("\n").flatMap(noticeIn);
    return { code: undefined, complaints: [], notices, readiness, chat: chat.status };
  } finally {
    child.kill("SIGKILL");
  }
}

const NOTHING: Outcome = { code: undefined, complaints: [], notices: [], readiness: undefined, chat: undefined };

function wordFor(word: string): string {
  const [name = "", ...rest] = word.split(":");
  return [words.get(name) ?? name, ...rest].join(":");
}

/** The line as it stands, on its own address: what `check` complains of, undefined where it takes it. */
async function refusedBy(given: readonly string[]): Promise<Outcome | undefined> {
  const args = given[0] === "launch" ? given.slice(1) : given;
  const child = Bun.spawn([BIN, "check", ...args], { cwd: ELSEWHERE, stdout: "ignore", stderr: "pipe" });
  const [text, code] = await Promise.all([child.stderr.text(), child.exited]);
  const complaints = text
    .split("\n")
    .filter((complaint) => complaint !== "")
    .map((complaint) => complaint.replace(/^pointsman: /, ""));
  return code === 0 ? undefined : { ...NOTHING, code, complaints };
}

/** 200 as soon as it is there, where that is what is waited for. */
async function readinessOf(url: string, isAwaited: boolean): Promise<number> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const { status } = await fetch(`${url}/readiness`);
    if (status === 200 || !isAwaited || performance.now() > deadline) return status;
    await Bun.sleep(20);
  }
}

function noticeIn(line: string): string[] {
  if (!line.startsWith('{"level":40')) return [];
  return [(JSON.parse(line) as { msg: string }).msg];
}

/**
 * CPU of the gateway's own code for one request. Clients and workers are objects of this process in the place of sockets: neither the
 * kernel nor another process is in the figure, and it repeats within a few per cent where figures over real sockets differ by a third.
 *
 *   bun bench/in-process.ts [--requests 60000] [--policy round_robin] [--bytes 20] [--keys 0] [--wrong]
 *     [--log-level info]
 *
 * `--bytes`: length of the prompt. `--keys`: keys of a store, each with all kinds of limits; each request has another one; `--wrong`: their texts
 * are wrong, and each request is refused. `--log-level warn` leaves the access line out. Prints µs of CPU a request: the least of all batches of a thousand, the tenth percentile, the median.
 * With `BUN_JSC_useJITDump=1`, `perf record -k mono` and `perf inject -j` a profile has the names of the functions.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startGateway } from "../src/cli/run-gateway.ts";
import { type ConfigText, type LoadedConfig, loadConfig, NO_FLAGS } from "../src/config/load.ts";
import { storeKeys } from "./lib/stored-keys.ts";
import { percentile } from "./lib/statistics.ts";

/** Clients that ask at the same time. */
const LANES = 32;
const BATCH = 1024;
/** Until Bun's compiler is done. */
const WARM_UP = 40_960;
/** Turns of the event loop within which all lanes must have their answers. */
const MOST_TURNS = 100;

/** What the gateway's servers and connections give to Bun. */
interface Handlers {
  open(socket: FakeSocket): void;
  data(socket: FakeSocket, bytes: Buffer): void;
}

/** Stands for a socket of Bun's and hands over what is written to it. */
class FakeSocket {
  data: unknown;
  readonly remoteAddress = "127.0.0.1";
  readonly #onWrite: (bytes: Uint8Array) => void;

  constructor(data: unknown, onWrite: (bytes: Uint8Array) => void) {
    this.data = data;
    this.#onWrite = onWrite;
  }

  write(bytes: Uint8Array, _offset = 0, length = bytes.length): number {
    this.#onWrite(bytes);
    return length;
  }

  end(): void {}
  shutdown(): void {}
  terminate(): void {}
  pause(): void {}
  resume(): void {}
}

const COMPLETION = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "sim",
  choices: [{ index: 0, message: { role: "assistant", content: "lorem ipsum dolor sit amet" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 12, completion_tokens: 16, total_tokens: 28 },
};
const OK = "HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 16:00:00 GMT\r\nserver: uvicorn";
const MODELS = message(OK, { object: "list", data: [{ id: "sim", object: "model" }] });
const ANSWER = message(OK, COMPLETION);

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "61440" },
    policy: { type: "string", default: "round_robin" },
    bytes: { type: "string", default: "20" },
    keys: { type: "string", default: "0" },
    wrong: { type: "boolean", default: false },
    "log-level": { type: "string", default: "info" },
  },
});

/** First digit of the status that every request must be answered with. */
const WANTED_DIGIT = values.wrong ? 0x34 : 0x32;
/** POST, which is no question of the gateway's own. */
const LETTER_P = 0x50;

/** Connections to workers on which a request waits for its answer. */
const asked: (() => void)[] = [];
const listening: Handlers[] = [];
Object.assign(Bun, {
  listen: ({ socket, port, hostname }: { socket: Handlers; port: number; hostname: string }) => {
    listening.push(socket);
    return { port, hostname, stop: () => undefined };
  },
  connect: ({ socket, data }: { socket: Handlers; data: unknown }) => {
    const worker = new FakeSocket(data, (bytes) => {
      const answer = bytes[0] === LETTER_P ? ANSWER : MODELS;
      asked.push(() => socket.data(worker, Buffer.from(answer)));
    });
    queueMicrotask(() => socket.open(worker));
    return Promise.resolve(worker);
  },
});

const directory = mkdtempSync(join(tmpdir(), "pointsman-in-process-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const storePath = join(directory, "keys.db");
const stored = await storeKeys(storePath, Number(values.keys));
const texts = values.wrong ? stored.map((text) => `${text}x`) : stored;
const load = (document?: ConfigText): LoadedConfig =>
  loadConfig({ file: writeConfig(), document, env: {}, flags: NO_FLAGS });
const { context } = await startGateway(load(), load);
const [server] = listening;
if (!server) throw new Error("the gateway does not listen");
const requests = (texts.length === 0 ? [undefined] : texts).map((text) =>
  message(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1${text === undefined ? "" : `\r\nauthorization: Bearer ${text}`}`,
    {
      model: "sim",
      messages: [{ role: "user", content: "x".repeat(Number(values.bytes)) }],
      max_tokens: 16,
    },
  ),
);
let nextRequest = 0;
/** Answers so far, and those among them that were not as they must be. */
const got = { answers: 0, failures: 0 };
const clients = Array.from({ length: LANES }, () => new FakeSocket(undefined, onAnswer));
for (const client of clients) server.open(client);

for (let turns = 0; !context.workerRegistry.all().every(({ status }) => status === "ready"); turns += 1) {
  if (turns > MOST_TURNS) throw new Error("the workers are not ready");
  await Bun.sleep(10);
  workersAnswer();
}
await run(server, WARM_UP);
const spent: number[] = [];
for (let done = 0; done < Number(values.requests); done += BATCH) {
  const before = process.cpuUsage();
  await run(server, BATCH);
  const { user, system } = process.cpuUsage(before);
  spent.push((user + system) / BATCH);
}
spent.sort((a, b) => a - b);
const [least, tenth, half] = [0, 0.1, 0.5].map((share) => percentile(spent, share).toFixed(2));
const what = `${values.policy}, ${requests[0]?.length} bytes, ${texts.length}${values.wrong ? " wrong" : ""} keys`;
console.error(`${what}: ${least} µs, tenth percentile ${tenth}, median ${half}`);
await context[Symbol.asyncDispose]();
process.exit(0);

function onAnswer(bytes: Uint8Array): void {
  // The second word of the status line.
  if (bytes[9] !== WANTED_DIGIT) got.failures += 1;
  got.answers += 1;
}

function workersAnswer(): void {
  for (const answer of asked.splice(0)) answer();
}

/** All clients ask, all workers answer, until there are so many answers. */
async function run(to: Handlers, count: number): Promise<void> {
  for (const until = got.answers + count; got.answers < until;) {
    const before = got.answers;
    for (const client of clients) {
      to.data(client, Buffer.from(requests[nextRequest] ?? ""));
      nextRequest = (nextRequest + 1) % requests.length;
    }
    for (let turns = 0; got.answers - before < LANES; turns += 1) {
      if (turns > MOST_TURNS || got.failures > 0)
        throw new Error(`${got.answers} answers, ${got.failures} of them wrong`);
      await new Promise<void>((resolve) => setImmediate(resolve));
      workersAnswer();
    }
  }
}

/** A message of HTTP/1.1 with a JSON body. */
function message(head: string, value: object): Buffer {
  const body = JSON.stringify(value);
  const length = Buffer.byteLength(body);
  return Buffer.from(`${head}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`);
}

/** Path of a configuration with two workers that nobody probes. */
function writeConfig(): string {
  const path = join(directory, "config.yaml");
  const workers = [1, 2].map((last) => ({ url: `http://127.0.0.${last}:1` }));
  const config = {
    host: "127.0.0.1",
    port: 1,
    prometheus_port: 0,
    disable_health_check: true,
    log_level: values["log-level"],
    ...(texts.length === 0 ? {} : { key_store: storePath }),
    default_policy: values.policy,
    initial_workers: workers,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

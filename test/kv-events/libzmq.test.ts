import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { BoundSockets } from "../../src/kv-events/bound-sockets.ts";
import type { Endpoint } from "../../src/kv-events/endpoints.ts";
import { EventFeed } from "../../src/kv-events/event-feed.ts";
import { Pump } from "../../src/kv-events/pump.ts";
import { MAX_MESSAGE_BYTES, Subscription, TTL_MS } from "../../src/kv-events/subscription.ts";
import { tcp } from "../../src/kv-events/zmtp/tcp.ts";
import { ZmtpLink } from "../../src/kv-events/zmtp/zmtp-link.ts";
import { systemClock } from "../../src/util/clock.ts";
import { LoopTurns } from "../../src/util/loop-turns.ts";
import { freePort } from "../faults/free-port.ts";
import { writeMsgpack } from "../support/write-msgpack.ts";

const PYTHON = process.env["POINTSMAN_PYTHON_ZMQ"];
const missing = reasonToSkip();
if (missing !== undefined) console.warn(`skipped: KV events over libzmq: ${missing}`);

function reasonToSkip(): string | undefined {
  if (PYTHON === undefined) return "POINTSMAN_PYTHON_ZMQ names no Python that has pyzmq";
  const run = Bun.spawnSync([PYTHON, "-c", "import zmq"], { stderr: "ignore" });
  return run.exitCode === 0 ? undefined : "that Python has no pyzmq";
}

/** A publisher in a process of its own, as an engine has it. */
class Publisher {
  readonly #process = Bun.spawn([PYTHON ?? "", join(import.meta.dir, "zmq_publisher.py")], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  readonly #lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  #rest = "";

  async tell(command: object): Promise<Record<string, number>> {
    await this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    await this.#process.stdin.flush();
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("the publisher has ended");
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line) as Record<string, number>;
  }

  start(options: object = {}): Promise<Record<string, number>> {
    return this.tell({ do: "start", bind: true, port: 0, replay: true, topic: "kv@w", heartbeat_ms: 0, ...options });
  }

  publish(...keys: readonly number[]): Promise<unknown> {
    return this.tell({ do: "publish", payloads: keys.map((key) => batch(key).toString("hex")) });
  }

  end(): void {
    this.#process.kill();
  }
}

function batch(key: number): Buffer {
  return writeMsgpack([key, [["BlockStored", [key], null, [key], 1, null]]]);
}

const started: Publisher[] = [];
afterAll(() => {
  for (const one of started) one.end();
});

function newPublisher(): Publisher {
  const one = new Publisher();
  started.push(one);
  return one;
}

/** Follows a publisher, and waits for what its events say. */
function follow(live: Endpoint, replay: Endpoint | undefined, topic = "kv@") {
  const keys: unknown[] = [];
  const waiting = new Set<() => void>();
  const told = (): void => {
    for (const one of waiting) one();
  };
  let subscription: Subscription | undefined;
  const feed = new EventFeed({
    clock: systemClock,
    blocks: {
      apply: (event) => {
        if (event.kind === "stored") keys.push(event.keys[0]);
        told();
      },
      clear: () => void keys.splice(0),
      fault: undefined,
    },
    ask: replay && ((sequence) => subscription?.ask(sequence) ?? false),
    hangUpReplay: () => subscription?.hangUpReplay(),
    onState: told,
  });
  const bound = new BoundSockets({
    tcp,
    clock: systemClock,
    settings: { maxMessageBytes: MAX_MESSAGE_BYTES, ttlMs: TTL_MS },
  });
  const pump = new Pump({
    now: () => performance.now(),
    turns: new LoopTurns(),
    onPause: (isPaused) => subscription?.setPaused(isPaused),
  });
  subscription = new Subscription({ live, replay, topic }, feed, {
    tcp,
    clock: systemClock,
    random: Math.random,
    bound,
    pump,
  });
  return {
    feed,
    keys,
    async until(isSo: () => boolean): Promise<void> {
      if (isSo()) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = (): void => {
        if (isSo()) resolve();
      };
      waiting.add(look);
      await promise;
      waiting.delete(look);
    },
    [Symbol.dispose]() {
      subscription?.[Symbol.dispose]();
      feed[Symbol.dispose]();
      bound[Symbol.dispose]();
    },
  };
}

const at = (port = 0, isBound = false): Endpoint => ({ hostname: "127.0.0.1", port, isBound });

describe.skipIf(missing !== undefined)("with libzmq", () => {
  test("what was published before is asked for, and what is published after comes by itself", async () => {
    const publisher = newPublisher();
    const { port, replay_port: replay } = await publisher.start();
    await publisher.publish(1, 2, 3);
    using followed = follow(at(port), at(replay));
    await followed.until(() => followed.feed.state === "exact");
    expect(followed.keys).toEqual([1, 2, 3]);
    await publisher.publish(4, 5);
    await followed.until(() => followed.keys.length === 5);
    expect(followed.keys).toEqual([1, 2, 3, 4, 5]);
  });

  test("batches of every size come whole", async () => {
    const publisher = newPublisher();
    const { port, replay_port: replay } = await publisher.start();
    using followed = follow(at(port), at(replay));
    await followed.until(() => followed.feed.state === "exact");
    const tokens = Array.from({ length: 400_000 }, (_, one) => one % 70_000);
    const large = writeMsgpack([0, [["BlockStored", [77], null, tokens, tokens.length, null]]]);
    await publisher.tell({
      do: "publish",
      payloads: [batch(1).toString("hex"), large.toString("hex"), batch(2).toString("hex")],
    });
    await followed.until(() => followed.keys.length === 3);
    expect(followed.keys).toEqual([1, 77, 2]);
  });

  test("batches that did not come are asked for", async () => {
    const publisher = newPublisher();
    const { port, replay_port: replay } = await publisher.start();
    using followed = follow(at(port), at(replay));
    await followed.until(() => followed.feed.state === "exact");
    await publisher.publish(1);
    await publisher.tell({ do: "skip", count: 3 });
    await publisher.publish(2);
    await followed.until(() => followed.keys.length === 2);
    await followed.until(() => followed.feed.state === "exact");
    expect(followed.feed.counts).toMatchObject({ batches: 5, gaps: 1 });
  });

  test("thousands of batches are replayed, though libzmq drops what it cannot send", async () => {
    const publisher = newPublisher();
    const { port, replay_port: replay } = await publisher.start();
    const keys = Array.from({ length: 10_000 }, (_, key) => key);
    await publisher.publish(...keys);
    using followed = follow(at(port), at(replay));
    await followed.until(() => followed.keys.length === keys.length);
    await followed.until(() => followed.feed.state === "exact");
    expect(followed.keys).toEqual(keys);
  });

  test("an engine that is restarted on the same ports begins anew", async () => {
    const publisher = newPublisher();
    const { port, replay_port: replay } = await publisher.start();
    await publisher.publish(1, 2, 3);
    using followed = follow(at(port), at(replay));
    await followed.until(() => followed.feed.state === "exact");
    await publisher.tell({ do: "stop" });
    await followed.until(() => followed.feed.state === "connecting");
    await publisher.start({ port, replay });
    await publisher.publish(7, 8, 9, 10);
    await followed.until(() => followed.feed.state === "exact" && followed.keys.length === 4);
    expect([followed.keys, followed.feed.counts.restarts]).toEqual([[7, 8, 9, 10], 1]);
  });

  test("an engine that connects out is waited for, and its topic says whose it is", async () => {
    const port = freePort();
    using followed = follow(at(port, true), undefined, "kv@w");
    const other = newPublisher();
    await other.start({ bind: false, port, replay: false, topic: "kv@x" });
    const publisher = newPublisher();
    await publisher.start({ bind: false, port, replay: false });
    // Until the connection stands, a publisher drops what it has: each number is told until one has come.
    await other.publish(99);
    for (let key = 0; followed.keys.length === 0; key += 1) {
      await publisher.publish(key);
      await Bun.sleep(5);
    }
    expect(followed.keys).not.toContain(99);
    await publisher.tell({ do: "stop" });
    await followed.until(() => followed.feed.state === "connecting");
  });

  test("a publisher that asks for signs of life gets them", async () => {
    const publisher = newPublisher();
    const { port, replay_port: replay } = await publisher.start({ heartbeat_ms: 50 });
    using followed = follow(at(port), at(replay));
    await followed.until(() => followed.feed.state === "exact");
    // Ten of its questions, each with a time limit of three.
    await Bun.sleep(500);
    await publisher.publish(1);
    await followed.until(() => followed.keys.length === 1);
    expect(followed.feed.state).toBe("exact");
  });

  test("a publisher that is busy after a silence does not give us up, as it hears from us however much it says", async () => {
    const publisher = newPublisher();
    const { port = 0 } = await publisher.start({ replay: false });
    const seen: string[] = [];
    const times = { handshakeMs: 5000, pingMs: 100, silenceMs: 5000 };
    const settings = { type: "SUB", topics: [""], maxMessageBytes: MAX_MESSAGE_BYTES, ttlMs: 600 } as const;
    using link = new ZmtpLink(settings, times, systemClock, {
      onUp: () => void seen.push("up"),
      onMessage: () => undefined,
      onDown: (reason) => void seen.push(reason),
    });
    tcp.connect(at(port), link);
    // Some questions in the silence, then three times as long as the publisher waits for a word after one.
    await Bun.sleep(400);
    for (let key = 0; key < 90; key += 1) {
      await publisher.publish(key);
      await Bun.sleep(20);
    }
    expect(seen).toEqual(["up"]);
  });
});

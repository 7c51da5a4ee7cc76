import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Texts } from "../loads/texts.ts";
import { parseTrace, readTrace } from "./trace-file.ts";
import { traceLoad } from "./trace-load.ts";

const MOONCAKE = [
  { timestamp: 3000, input_length: 1100, output_length: 9, hash_ids: [0, 5, 6] },
  { timestamp: 0, input_length: 700, output_length: 4, hash_ids: [0, 3] },
  { timestamp: 3000, input_length: 512, output_length: 0, hash_ids: [0] },
];
const RECORDING = [
  { format: "pointsman-recording", version: 1, started: "2026-11-26T00:00:00.000Z", block_ends: [128, 256, 384] },
  {
    timestamp: 12.5,
    input_length: 100,
    output_length: 7,
    hash_ids: [0, 1],
    prompt_bytes: 300,
    stream: true,
    model: "m",
    session: 0,
  },
  { timestamp: 10, input_length: 140, hash_ids: [0, 1, 2], prompt_bytes: 420, stream: false, model: "m" },
];
const OPTIONS = { seed: 1, durationSecs: 1e9, rate: 1, workers: 2, model: undefined, isClosedLoop: false };

function lines(objects: readonly object[]): string {
  return objects.map((one) => `${JSON.stringify(one)}\n`).join("");
}

describe("a trace in Mooncake's format", () => {
  const load = traceLoad(parseTrace(lines(MOONCAKE), "t"), "t", OPTIONS);

  test("has blocks of 512 tokens, and the rest of a prompt is a block that ends early", () => {
    const [first] = load.sessions;
    expect(first?.turns[0]?.prompt).toEqual({
      segments: [
        { id: 0, tokens: 512 },
        { id: 3, tokens: 188 },
      ],
      tokens: 700,
      bytesPerToken: 4,
    });
    expect(load.workers).toHaveLength(2);
  });

  test("is spread over the buckets that its times were rounded to, in order and alike for one seed", () => {
    const times = load.sessions.map(({ startAtMs }) => startAtMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times[0]).toBeLessThan(3000);
    for (const time of times.slice(1)) expect(time >= 3000 && time < 6000).toBe(true);
    expect(new Set(times).size).toBe(3);
    expect(traceLoad(parseTrace(lines(MOONCAKE), "t"), "t", OPTIONS)).toEqual(load);
  });

  test("has answers of at least one token", () => {
    expect(load.sessions.map(({ turns }) => turns[0]?.outputTokens).toSorted((a = 0, b = 0) => a - b)).toEqual([
      1, 4, 9,
    ]);
  });
});

describe("a recording", () => {
  const load = traceLoad(parseTrace(lines(RECORDING), "t"), "t", OPTIONS);

  test("keeps its times, and equal blocks have equally many tokens in each request", () => {
    // 240 tokens in 720 bytes: a block of 128 bytes has 42.67 tokens.
    expect(load.sessions.map(({ startAtMs }) => startAtMs)).toEqual([0, 2.5]);
    expect(load.sessions.map(({ turns }) => turns[0]?.prompt.segments.map(({ tokens }) => tokens))).toEqual([
      [43, 42, 43, 12],
      [43, 42, 15],
    ]);
    expect(load.sessions.map(({ turns }) => turns[0]?.prompt.segments.slice(0, 2).map(({ id }) => id))).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(load.sessions[0]?.turns[0]?.prompt.bytesPerToken).toBe(3);
  });

  test("shares sessions only where it says so, and takes the mean for an unknown length of an answer", () => {
    const [unnamed, named] = load.sessions;
    expect(named?.key).toBe(0);
    expect(unnamed?.key).not.toBe(0);
    expect(unnamed?.turns[0]?.outputTokens).toBe(7);
  });

  test("may end within a line, as one that was cut by a crash", () => {
    expect(parseTrace(`${lines(RECORDING)}{"timesta`, "t").requests).toHaveLength(2);
  });
});

describe("blocks of other programs' files in Mooncake's format", () => {
  test("have the size that the longest list of blocks tells, and the load says so", () => {
    for (const blockTokens of [1, 16, 64, 256, 512]) {
      const requests = [3, 1000, 5000].map((length) => ({
        timestamp: 0,
        input_length: length,
        output_length: 1,
        hash_ids: Array.from({ length: Math.ceil(length / blockTokens) }, (_, index) => index),
      }));
      const load = traceLoad(parseTrace(lines(requests), "t"), "t", OPTIONS);
      const longest = load.sessions.map(({ turns }) => turns[0]?.prompt).find((prompt) => prompt?.tokens === 5000);
      expect(longest?.segments[0]).toEqual({ id: 0, tokens: blockTokens });
      expect(longest?.segments).toHaveLength(Math.ceil(5000 / blockTokens));
      expect(load.workers[0]?.engine.blockTokens).toBe(blockTokens);
      expect(load.name).toBe(blockTokens === 512 ? "t" : `t (blocks of ${blockTokens} tokens)`);
    }
  });

  test("may be missing at the end of prompts: that does not make them larger or smaller", () => {
    const requests = [{ timestamp: 0, input_length: 9000, output_length: 1, hash_ids: [1, 2, 3] }];
    expect(parseTrace(lines(requests), "t").blockTokens).toBe(512);
  });
});

describe("numbers of blocks that are hashes", () => {
  const load = (ids: readonly string[]): readonly number[] =>
    parseTrace(
      ids
        .map((id, at) => `{"timestamp": ${at}, "input_length": 512, "output_length": 1, "hash_ids": [ ${id} ]}\n`)
        .join(""),
      "t",
    ).requests.map(({ blocks }) => blocks[0] ?? -1);

  test("of 64 bits are equal only where all of their bits are", () => {
    const ids = ["18446744073709551615", "18446744073709551614", "9223372036854775807", "-9223372036854775808"];
    // These have equal lower 32 bits, or differ only by what a double rounds off.
    const near = ["4294967297", "1", "9007199254740993", "9007199254740992", "1073741824", "536870912"];
    const all = load([...ids, ...near, ...ids, ...near]);
    expect(new Set(all).size).toBe(10);
    expect(all.slice(10)).toEqual(all.slice(0, 10));
    expect(Math.max(...all)).toBeLessThan(2 ** 30);
  });

  test("are found again by a cache in the replay", () => {
    const lines = [0, 1, 2].map(
      (at) =>
        `{"timestamp": ${1000 * at}, "input_length": 1024, "output_length": 1, "hash_ids": [18446744073709551615, 4294967297]}`,
    );
    const replay = traceLoad(parseTrace(lines.join("\n"), "t"), "t", OPTIONS);
    const texts = new Texts();
    const blocks = replay.sessions.map(({ turns }) =>
      turns[0] === undefined ? [] : [...texts.blocksOf(turns[0].prompt, undefined, 512)],
    );
    expect(blocks[0]).toHaveLength(2);
    expect(blocks).toEqual([blocks[0] ?? [], blocks[0] ?? [], blocks[0] ?? []]);
  });
});

describe("a closed loop", () => {
  const request = (
    timestamp: number,
    durationMs: number | undefined,
    session: number | string | undefined,
  ): object => ({
    ...{ timestamp, input_length: 600, output_length: 2, hash_ids: [timestamp, timestamp + 1] },
    ...{ duration_ms: durationMs, session },
  });
  const closed = (requests: readonly object[], rate = 1): unknown =>
    traceLoad(parseTrace(lines(requests), "t"), "t", { ...OPTIONS, isClosedLoop: true, rate }).sessions.map(
      ({ startAtMs, turns }) => [startAtMs, turns.map(({ thinkMs }) => thinkMs)],
    );

  test("has the requests of a session one after the other, each after the pause that was before it", () => {
    const one = [request(0, 500, 7), request(2000, 100, 7), request(2095, 100, 7), request(9000, undefined, 7)];
    // What came 5 ms before the end was noted came after it.
    expect(closed(one)).toEqual([[0, [0, 1500, 0, 6805]]]);
    // Twice as many sessions: who thinks does not think faster.
    expect(closed(one, 2)).toEqual([[0, [0, 1500, 0, 6805]]]);
  });

  test("has what a session did at the same time at the same time, and what belongs to none at its own", () => {
    const some = [request(0, 5000, "a"), request(300, 100, "a"), request(1000, 10, "a"), request(400, 1, undefined)];
    expect(closed(some)).toEqual([
      [0, [0]],
      [300, [0, 600]],
      [400, [0]],
    ]);
    expect(closed(some, 2)).toEqual([
      [0, [0]],
      [150, [0, 600]],
      [200, [0]],
    ]);
  });

  test("is refused where no request has both a session and a duration", () => {
    const message = "t: no request has a session and duration_ms, which a closed loop needs";
    for (const some of [[request(0, undefined, 1)], [request(0, 5, undefined)]])
      expect(() => closed(some)).toThrow(message);
  });
});

describe("a trace of several models", () => {
  const trace = parseTrace(lines(["a", "b", "a"].map((model, at) => ({ ...MOONCAKE[at], model }))), "t");

  test("is replayed as if they were one, which its name says, or for one of them alone", () => {
    expect(traceLoad(trace, "t", OPTIONS)).toMatchObject({ name: "t (2 models as one)", sessions: { length: 3 } });
    expect(traceLoad(trace, "t", { ...OPTIONS, model: "a" })).toMatchObject({ name: "t", sessions: { length: 2 } });
  });

  test("has no request for a model that it does not name", () => {
    expect(() => traceLoad(trace, "t", { ...OPTIONS, model: "c" })).toThrow(
      't: no request is for the model "c"; its models are a, b',
    );
    const nameless = parseTrace(lines(MOONCAKE), "t");
    expect(() => traceLoad(nameless, "t", { ...OPTIONS, model: "c" })).toThrow("it names no models");
  });
});

describe("what other programs write", () => {
  test("may have hashes and sessions as texts, and null for what they do not know", () => {
    const rows = ["a1b2c3d4e5f60718", "00000000deadbeef"].map((hash, at) => ({
      ...{ timestamp: at, input_length: 700, output_length: null, hash_ids: ["cafe", hash] },
      session_id: "run-1",
    }));
    const { requests } = parseTrace(lines(rows), "t");
    expect(requests.map(({ outputTokens }) => outputTokens)).toEqual([undefined, undefined]);
    expect(requests[0]?.session).toBe(requests[1]?.session ?? -1);
    const [first = [], second = []] = requests.map(({ blocks }) => blocks);
    expect([first[0] === second[0], first[1] === second[1]]).toEqual([true, false]);
    expect(() => parseTrace(lines([{ ...rows[0], session_id: {} }]), "t")).toThrow("t:1: session must be");
  });
});

describe("a file", () => {
  const dir = mkdtempSync(join(tmpdir(), "trace-"));
  afterAll(() => rmSync(dir, { recursive: true }));

  test("may be compressed", () => {
    const path = join(dir, "t.jsonl.gz");
    writeFileSync(path, gzipSync(lines(RECORDING)));
    expect(readTrace(path)).toEqual(parseTrace(lines(RECORDING), "t"));
  });

  test("that cannot be read is told in plain words", () => {
    expect(() => readTrace(join(dir, "none"))).toThrow(`${dir}/none: there is no such file`);
    expect(() => readTrace(dir)).toThrow(`${dir}: cannot be read (EISDIR)`);
    writeFileSync(join(dir, "cut.gz"), gzipSync(lines(RECORDING)).subarray(0, 40));
    expect(() => readTrace(join(dir, "cut.gz"))).toThrow(`${dir}/cut.gz: cannot be read (`);
  });
});

describe("a replay", () => {
  test("at twice the rate takes half the time", () => {
    const load = traceLoad(parseTrace(lines(RECORDING), "t"), "t", { ...OPTIONS, rate: 2 });
    expect(load.sessions.map(({ startAtMs }) => startAtMs)).toEqual([0, 1.25]);
  });

  test("of a part leaves out what comes later", () => {
    const load = traceLoad(parseTrace(lines(MOONCAKE), "t"), "t", { ...OPTIONS, durationSecs: 2.9 });
    expect(load.sessions).toHaveLength(1);
    expect(load.durationMs).toBe(2900);
  });
});

describe("a trace whose lengths and blocks do not fit together", () => {
  const odd = (length: number, blocks: readonly number[] | undefined): unknown =>
    traceLoad(
      parseTrace(lines([{ timestamp: 0, input_length: length, output_length: 1, hash_ids: blocks }]), "t"),
      "t",
      OPTIONS,
    ).sessions[0]?.turns[0]?.prompt;

  test("has prompts of their lengths: blocks beyond the end are left out", () => {
    const recording = `${lines([RECORDING[0] ?? {}])}${lines([{ timestamp: 0, input_length: 20, prompt_bytes: 120, hash_ids: [7, 8] }])}`;
    expect(traceLoad(parseTrace(recording, "t"), "t", OPTIONS).sessions[0]?.turns[0]?.prompt).toMatchObject({
      segments: [{ id: 7, tokens: 20 }],
      tokens: 20,
    });
  });

  test("has texts of their own where blocks are missing", () => {
    expect(odd(700, [7])).toMatchObject({ segments: [{ id: 7, tokens: 512 }, { tokens: 188 }], tokens: 700 });
    expect(odd(700, undefined)).toMatchObject({ segments: [{ tokens: 700 }], tokens: 700 });
  });

  test("replays each request, however fast", () => {
    const many = Array.from({ length: 50 }, (_, index) => ({ ...MOONCAKE[index % 3], timestamp: 3000 * (index % 7) }));
    for (const rate of [0.1, 1, 3, 100]) {
      const load = traceLoad(parseTrace(lines(many), "t"), "t", { ...OPTIONS, rate });
      expect(load.sessions).toHaveLength(50);
      for (const { startAtMs } of load.sessions) expect(startAtMs).toBeLessThanOrEqual(load.durationMs);
    }
  });
});

describe("a file that is no trace is refused, with its line", () => {
  const head = RECORDING[0];
  const cases: readonly [name: string, text: string, message: string][] = [
    ["nothing", "\n \n", "t: it is empty"],
    [
      "a prompt that no model takes",
      lines([{ ...MOONCAKE[0], input_length: 1e12 }]),
      "t:1: input_length must be a number from 0 to 10000000",
    ],
    ["no JSON", "hello\n", "t:1: is no JSON: a trace is a recording of serve --record, or has JSON lines"],
    ["a line that is no JSON", `${lines(MOONCAKE)}hello\n`, "t:4: is no JSON"],
    ["a list", "[]\n", "t:1: must be an object"],
    ["no time", lines([{ ...MOONCAKE[0], timestamp: undefined }]), "t:1: timestamp must be a number from 0"],
    [
      "a time before the beginning",
      lines([{ ...MOONCAKE[0], timestamp: -1 }]),
      "t:1: timestamp must be a number from 0",
    ],
    [
      "no blocks",
      lines([{ ...MOONCAKE[0], hash_ids: "a" }]),
      "t:1: hash_ids must be a list of whole numbers, or of texts",
    ],
    ["a newer recording", lines([{ ...head, version: 2 }]), "t:1: recordings of version 2 are not known here"],
    ["no request", lines([head ?? {}]), "t: it has no request"],
  ];
  for (const [name, text, message] of cases) {
    test(name, () => {
      expect(() => parseTrace(text, "t")).toThrow(message);
    });
  }

  test("a file that is not there", () => {
    expect(() => readTrace("/nowhere/t.jsonl")).toThrow("/nowhere/t.jsonl: there is no such file");
  });
});

test("empty lines are passed over, also before the first line of a recording", () => {
  for (const some of [MOONCAKE, RECORDING]) {
    const spaced = `\n \r\n${lines(some).replaceAll("\n", "\r\n\n")}`;
    expect(parseTrace(spaced, "t")).toEqual(parseTrace(lines(some), "t"));
  }
  expect(() => parseTrace(`\n\nhello\n`, "t")).toThrow("t:3: is no JSON");
});

test("a byte order mark at the beginning is passed over", () => {
  expect(parseTrace(`\uFEFF${lines(MOONCAKE)}`, "t")).toEqual(parseTrace(lines(MOONCAKE), "t"));
});

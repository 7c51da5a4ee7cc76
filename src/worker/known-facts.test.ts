import { describe, expect, test } from "bun:test";
import { factsAfter } from "./known-facts.ts";
import type { WorkerInfo } from "./worker.ts";
import { UNKNOWN_INFO } from "./worker-factory.ts";

const KNOWN: WorkerInfo = {
  models: ["m"],
  cards: [],
  engine: "vllm",
  engineVersion: "0.32",
  maxModelLen: 4096,
  kvCapacityTokens: 65_536,
  startedAt: 1_000_000,
  kv: { connector: "MooncakeConnector", engineId: "e1", bootstrapPort: 8998, dataParallelSize: 1 },
  kvEvents: { endpoint: "tcp://10.0.0.7:5557", replayEndpoint: undefined, topic: "", ranks: 1 },
  dataParallelSize: 2,
};
/** Only the list of models came in time. */
const SAID: WorkerInfo = { ...UNKNOWN_INFO, models: ["m", "adapter"] };

describe("a worker that is asked again", () => {
  test("keeps what it said before where a page does not come in time, and takes what it says anew", () => {
    expect(factsAfter(SAID, KNOWN, undefined)).toEqual({ ...KNOWN, models: ["m", "adapter"] });
    const said = { ...SAID, startedAt: 1_004_000, kvCapacityTokens: 32 };
    expect(factsAfter(said, KNOWN, 3_000_000)).toEqual({
      ...KNOWN,
      ...said,
      engine: "vllm",
      engineVersion: "0.32",
      maxModelLen: 4096,
      kv: KNOWN.kv,
    });
  });

  test("keeps them as well where it tells its start for the first time", () => {
    const facts = factsAfter({ ...SAID, startedAt: 5_000_000 }, { ...KNOWN, startedAt: undefined }, undefined);
    expect([facts.startedAt, facts.kv]).toEqual([5_000_000, KNOWN.kv]);
  });

  test("as another process keeps nothing but its number of ranks", () => {
    const another = { ...SAID, startedAt: 2_000_000 };
    expect(factsAfter(another, KNOWN, undefined)).toEqual({ ...another, dataParallelSize: 2 });
    expect(factsAfter(SAID, KNOWN, 3_000_000)).toEqual({ ...SAID, startedAt: 3_000_000, dataParallelSize: 2 });
  });
});

import { describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { endpointNamed } from "../../test/support/endpoints.ts";
import { setUpFleet } from "../../test/support/fleet.ts";
import type { EndpointName } from "../protocol/endpoints.ts";
import { readJsonBody } from "../protocol/json/json-body.ts";
import type { KvTransferInfo, Worker } from "../worker/worker.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";
import type { PdRequest } from "./connector.ts";
import { connectorOf, fitTogether, hasPair } from "./connectors.ts";
import { newSharedIds, sequences } from "./shared-ids.ts";

let count = 0;

function worker(spec: Partial<WorkerSpec>, kv?: Partial<KvTransferInfo>, engine?: string): Worker {
  const fleet = setUpFleet();
  const added = fleet.add(`http://w${(count += 1)}:1`, { modelId: "m", ...spec });
  const told = kv && { connector: "sglang", engineId: undefined, bootstrapPort: undefined, dataParallelSize: 1, ...kv };
  return fleet.registry.update(added.id, { info: { ...added.info, engine, kv: told } });
}

async function request(endpoint: EndpointName, body: object, prefill = worker({})): Promise<PdRequest> {
  const read = await readJsonBody(Buffer.from(JSON.stringify(body)));
  return { endpoint: endpointNamed(endpoint), body: read, prefill, decode: worker({}), requestId: "r" };
}

test("the connector is the operator's word, then the engine's, then what the engine has by default", () => {
  const cases: readonly (readonly [name: string, one: Worker])[] = [
    ["mooncake", worker({ labels: { kv_connector: "MooncakeConnector" } }, { connector: "NixlConnector" }, "vllm")],
    ["nixl", worker({}, { connector: "NixlConnector" }, "vllm")],
    ["p2p_nccl", worker({}, { connector: "P2pNcclConnector" })],
    ["passthrough", worker({}, { connector: "SomebodysConnector" }, "vllm")],
    ["sglang", worker({}, undefined, "sglang")],
    ["sglang", worker({ bootstrapPort: 8998 })],
    ["nixl", worker({}, undefined, "vllm")],
    ["passthrough", worker({})],
  ];
  for (const [name, one] of cases) expect([name, connectorOf(one).name]).toEqual([name, name]);
});

test("an engine without connectors forms no pairs, unless its operator names one", () => {
  const trtllm = (): Worker => worker({}, undefined, "trtllm");
  expect([connectorOf(trtllm()).name, fitTogether(trtllm(), trtllm())]).toEqual(["none", false]);
  const named = (): Worker => worker({ labels: { kv_connector: "passthrough" } }, undefined, "trtllm");
  expect(fitTogether(named(), named())).toBe(true);
});

describe("a pair among many", () => {
  const label = (kv_connector: string, more: Record<string, string> = {}): Worker =>
    worker({ labels: { kv_connector, ...more } });

  test("is there where any two fit together", () => {
    expect(hasPair([label("nixl"), label("sglang")], [label("passthrough"), label("sglang")])).toBe(true);
    expect(hasPair([label("nixl")], [label("passthrough"), label("sglang")])).toBe(false);
    expect(hasPair([], [label("sglang")])).toBe(false);
  });

  test("is none where the connector does not know enough of both", () => {
    const known = label("mooncake", { kv_engine_id: "e" });
    expect([hasPair([known], [label("mooncake")]), hasPair([label("mooncake")], [known])]).toEqual([true, false]);
  });

  test("is told as two of them by themselves are", () => {
    const some = [
      label("nixl"),
      label("mooncake"),
      label("mooncake", { kv_engine_id: "e" }),
      worker({}, undefined, "trtllm"),
    ];
    for (const prefill of some) {
      for (const decode of some) expect(hasPair([prefill], [decode])).toBe(fitTogether(prefill, decode));
    }
  });
});

test("workers fit that have one connector and what it needs", () => {
  const label = (kv_connector: string, more: Record<string, string> = {}): Worker =>
    worker({ labels: { kv_connector, ...more } });
  expect(fitTogether(label("nixl"), label("nixlconnector"))).toBe(true);
  expect(fitTogether(label("nixl"), label("sglang"))).toBe(false);
  expect(fitTogether(label("mooncake"), label("mooncake"))).toBe(false);
  expect(fitTogether(label("mooncake", { kv_engine_id: "e" }), label("mooncake"))).toBe(true);
  const address = { kv_address: "10.0.0.1:14579" };
  expect(fitTogether(label("p2p_nccl", address), label("p2p_nccl"))).toBe(false);
  expect(fitTogether(label("p2p_nccl", address), label("p2p_nccl", address))).toBe(true);
  expect(fitTogether(label("p2p_nccl", { ...address, dp_size: "2" }), label("p2p_nccl", address))).toBe(false);
});

describe("sequences", () => {
  test("are the answers that are asked for", async () => {
    expect(sequences(await request("completions", { prompt: ["a", "b"], n: 2 }))).toBe(4);
  });

  test("too many are the client's mistake", async () => {
    const many = await request("completions", { prompt: "a", n: 16_385 });
    expect(() => sequences(many)).toThrow("16384 sequences");
  });
});

test("rooms have 63 bits, differ, and are all of the rank that is told", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 8 }), async (ranks, n) => {
      const prefill = worker({}, { dataParallelSize: ranks });
      const { rooms, rank } = newSharedIds(await request("chat_completions", { n }, prefill));
      expect([rooms.length, new Set(rooms).size]).toEqual([n, n]);
      for (const room of rooms) {
        expect(room > 0n && room < 2n ** 63n).toBe(true);
        expect(room % BigInt(ranks)).toBe(BigInt(rank));
      }
    }),
  );
});

test("nothing of one try is used again at the next", async () => {
  const pd = await request("chat_completions", {});
  const ids = Array.from({ length: 50 }, () => newSharedIds(pd));
  for (const of of [ids.map(({ transferId }) => transferId), ids.map(({ requestId }) => requestId)]) {
    expect(new Set(of).size).toBe(50);
  }
  expect(new Set(ids.flatMap(({ rooms }) => rooms)).size).toBe(50);
});

test("one prompt of a batch that is sent by itself has one room, and the batch is not counted for it", async () => {
  const pd = await request("completions", { prompt: Array.from({ length: 2048 }, () => "a"), n: 4 });
  const counted = spyOn(pd.body, "count");
  const connector = connectorOf(worker({}, undefined, "sglang"));
  for (let prompt = 0; prompt < 2048; prompt += 1) {
    const ids = newSharedIds(pd, 1);
    const rooms = [connector.prefill(pd, ids), connector.decode(pd, ids)].map(({ members }) =>
      members.get("bootstrap_room"),
    );
    expect([ids.rooms.length, ...rooms]).toEqual([1, String(ids.rooms[0]), String(ids.rooms[0])]);
  }
  expect(counted).not.toHaveBeenCalled();
});

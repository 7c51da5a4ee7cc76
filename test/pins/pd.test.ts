import { expect, test } from "bun:test";
import { join } from "node:path";
import { ENDPOINTS } from "../../src/protocol/endpoints.ts";
import { METRICS } from "../../src/observability/metrics-table.ts";
import { readJsonBody } from "../../src/protocol/json/json-body.ts";
import type { LegChange, PdRequest, SharedIds } from "../../src/engine/connector.ts";
import { connectorNamed } from "../../src/engine/connectors.ts";
import { sequences } from "../../src/engine/shared-ids.ts";
import type { Worker } from "../../src/worker/worker.ts";
import { endpointNamed } from "../support/endpoints.ts";
import { setUpFleet } from "../support/fleet.ts";

/** What engines are told, by which they find each other. A red test asks: did you mean to, and do the engines know it? */

const IDS: SharedIds = { rank: 1, rooms: [9_223_372_036_854_775_805n, 5n], transferId: "xfer-1", requestId: "___ids" };
const SAMPLES = { messages: [], n: 2, max_tokens: 64, stream: true, stream_options: {}, min_tokens: 9 };
const REMOTE_DECODE = { do_remote_decode: true, do_remote_prefill: false };
const ONE_TOKEN = { stream: false, max_tokens: 1, min_tokens: 0, stream_options: null };

function worker(name: string, dpSize: string): Worker {
  const fleet = setUpFleet();
  const labels = { kv_engine_id: "engine", kv_address: `${name}:14579`, dp_size: dpSize };
  return fleet.add(`http://${name}:8000`, { modelId: "m", bootstrapPort: 8997, labels });
}

async function legs(connector: string, ranks = "1", body: object = SAMPLES): Promise<readonly object[]> {
  const read = await readJsonBody(Buffer.from(JSON.stringify(body)));
  const pd: PdRequest = {
    endpoint: endpointNamed("chat_completions"),
    body: read,
    prefill: worker("p", ranks),
    decode: worker("d", "1"),
    requestId: "r",
  };
  const one = connectorNamed(connector);
  // A room for each sequence, as the gateway makes them.
  const ids = { ...IDS, rooms: IDS.rooms.slice(0, sequences(pd)) };
  return [one.prefill(pd, ids), one.decode(pd, ids)].map(written);
}

/** Numbers of more than 53 bits as text. */
function written({ members, ...rest }: LegChange): object {
  const entries = [...members].map(([name, json]) => {
    const text = Buffer.from(json)
      .toString()
      .replaceAll(/\b\d{16,}\b/g, '"$&"');
    return [name, JSON.parse(text) as unknown];
  });
  return { ...rest, ...Object.fromEntries(entries) };
}

test("SGLang", async () => {
  const triple = {
    bootstrap_host: ["p", "p"],
    bootstrap_port: [8997, 8997],
    bootstrap_room: ["9223372036854775805", 5],
  };
  expect(await legs("sglang")).toEqual([triple, triple]);
  expect(await legs("sglang", "4")).toEqual([
    { ...triple, routed_dp_rank: 1 },
    { ...triple, disagg_prefill_dp_rank: 1 },
  ]);
  const single = { bootstrap_host: "p", bootstrap_port: 8997, bootstrap_room: "9223372036854775805" };
  const client = { routed_dp_rank: 7, data_parallel_rank: 7, disagg_prefill_dp_rank: 7 };
  const none = { routed_dp_rank: null, data_parallel_rank: null, disagg_prefill_dp_rank: null };
  expect(await legs("sglang", "1", client)).toEqual([
    { ...single, ...none },
    { ...single, ...none },
  ]);
});

test("vLLM with NIXL, and with what nobody knows", async () => {
  const blank = { remote_engine_id: null, remote_block_ids: null, remote_host: null, remote_port: null };
  expect(await legs("nixl")).toEqual([{ ...ONE_TOKEN, kv_transfer_params: { ...REMOTE_DECODE, ...blank } }, {}]);
  expect(await legs("any")).toEqual([{ ...ONE_TOKEN, kv_transfer_params: REMOTE_DECODE }, {}]);
  expect([connectorNamed("nixl").handsOver, connectorNamed("any").handsOver]).toEqual([
    "kv_transfer_params",
    "kv_transfer_params",
  ]);
});

test("vLLM with Mooncake", async () => {
  const remote = {
    do_remote_decode: false,
    do_remote_prefill: true,
    transfer_id: "xfer-1",
    remote_engine_id: "engine",
    remote_bootstrap_addr: "http://p:8997",
  };
  const prefill = { ...ONE_TOKEN, kv_transfer_params: { ...REMOTE_DECODE, transfer_id: "xfer-1" } };
  expect(await legs("mooncake")).toEqual([prefill, { kv_transfer_params: remote }]);
  expect(await legs("mooncake", "2")).toEqual([
    { ...prefill, headers: "x-data-parallel-rank: 1\r\n" },
    { kv_transfer_params: { ...remote, remote_engine_id: "engine_dp1" } },
  ]);
});

test("vLLM with P2pNccl", async () => {
  const requestId = "___ids";
  expect(await legs("p2p_nccl")).toEqual([{ ...ONE_TOKEN, requestId }, { requestId }]);
  expect(await legs("p2p_nccl", "1", { kv_transfer_params: {} })).toEqual([
    { stream: false, max_tokens: 1, kv_transfer_params: null, requestId },
    { kv_transfer_params: null, requestId },
  ]);
});

const CONNECTORS: Readonly<Record<string, readonly string[]>> = {
  sglang: ["sglang"],
  nixl: ["nixl", "NixlConnector"],
  mooncake: ["mooncake", "MooncakeConnector"],
  p2p_nccl: ["p2p_nccl", "P2pNccl", "P2pNcclConnector"],
  moriio: ["moriio", "MoRIIOConnector"],
  passthrough: ["passthrough", "LMCacheConnectorV1"],
};

test("names of connectors, as labels and engines say them", () => {
  for (const [name, words] of Object.entries(CONNECTORS)) {
    for (const word of words) expect([word, connectorNamed(word).name]).toEqual([word, name]);
  }
});

test("the page on prefill and decode names every connector, label, metric and route", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/pd.md")).text();
  const labels = ["kv_connector", "kv_engine_id", "kv_address", "dp_size"];
  const outcomes = ["handed_over", "missing", "skipped", "not_needed", "failed"];
  for (const name of [...Object.keys(CONNECTORS), ...outcomes]) expect(page).toContain(`\`${name}\``);
  for (const name of labels) expect(page).toContain(name);
  for (const { name } of [METRICS.kvTransfers, METRICS.prefillDuration, METRICS.attempts]) expect(page).toContain(name);
  for (const name of Object.keys(CONNECTORS)) {
    const served = ENDPOINTS.filter(connectorNamed(name).serves);
    for (const { path } of served) expect(page).toContain(`\`${path}\``);
  }
});

test("routes that each connector serves", () => {
  const served = (connector: string): readonly string[] =>
    ENDPOINTS.filter(connectorNamed(connector).serves).map(({ name }) => name);
  const byParams = ["chat_completions", "completions", "responses", "messages"];
  expect(served("sglang")).toEqual(["chat_completions", "completions", "generate"]);
  for (const connector of ["nixl", "mooncake", "p2p_nccl", "passthrough"]) expect(served(connector)).toEqual(byParams);
  expect(served("moriio")).toEqual([]);
});

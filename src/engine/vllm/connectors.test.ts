import { describe, expect, test } from "bun:test";
import { pdRequest } from "../../../test/support/pd-request.ts";
import { setUpFleet } from "../../../test/support/fleet.ts";
import type { Worker } from "../../worker/worker.ts";
import type { PdConnector, SharedIds } from "../connector.ts";
import { connectors } from "./connectors.ts";

const IDS: SharedIds = { rank: 1, rooms: [5n], transferId: "xfer-1", requestId: "___ids" };

function named(name: string): PdConnector {
  const connector = connectors.named.get(name);
  if (!connector) throw new Error(`vLLM has no connector ${name}`);
  return connector;
}

function worker(labels: Record<string, string>): Worker {
  return setUpFleet().add("http://p:1", { workerType: "prefill", labels });
}

function jsonOf(text: Uint8Array | string | undefined): unknown {
  return JSON.parse(Buffer.from(text ?? "").toString());
}

test("each connector goes by the engine's name of it, and by its short one", () => {
  for (const short of ["nixl", "mooncake", "moriio"]) expect(named(`${short}connector`)).toBe(named(short));
  expect(named("p2pncclconnector")).toBe(named("p2p_nccl"));
});

describe("Mooncake", () => {
  test("needs the engine id of the prefill worker, and none of the decode worker", () => {
    const mooncake = named("mooncake");
    expect(mooncake.suffices(worker({}), "prefill")).toBe(false);
    expect(mooncake.suffices(worker({ kv_engine_id: "e" }), "prefill")).toBe(true);
    expect(mooncake.suffices(worker({}), "decode")).toBe(true);
  });

  test("tells decode which rank's engine it is, in place of the rank that the worker named", async () => {
    const ranked = worker({ kv_engine_id: "e_dp0", dp_size: "2" });
    const pd = await pdRequest({ prefill: ranked });
    const { members } = named("mooncake").decode(pd, IDS);
    expect(jsonOf(members.get("kv_transfer_params"))).toMatchObject({
      remote_engine_id: "e_dp1",
      remote_bootstrap_addr: "http://p:8998",
      transfer_id: "xfer-1",
    });
    expect(named("mooncake").prefill(pd, IDS).headers).toBe("x-data-parallel-rank: 1\r\n");
  });

  test("names no rank where there is one", async () => {
    const pd = await pdRequest({ prefill: worker({ kv_engine_id: "e" }) });
    expect(named("mooncake").prefill(pd, IDS).headers).toBeUndefined();
  });
});

describe("P2pNccl", () => {
  test("needs an address of each, behind which there is one rank", () => {
    const p2p = named("p2p_nccl");
    const address = { kv_address: "p:14579" };
    expect(
      [worker({}), worker(address), worker({ ...address, dp_size: "2" })].map((one) => p2p.suffices(one, "decode")),
    ).toEqual([false, true, false]);
  });

  test("is not built over gRPC, where requests have ids of their own", () => {
    const overGrpc = setUpFleet().add("grpc://p:1", { labels: { kv_address: "p:14579" } });
    expect(named("p2p_nccl").suffices(overGrpc, "prefill")).toBe(false);
  });

  test("gives both legs one request id, and takes the client's parameters away", async () => {
    const pd = await pdRequest({ body: { kv_transfer_params: { remote_host: "evil" } } });
    const p2p = named("p2p_nccl");
    expect([p2p.prefill(pd, IDS).requestId, p2p.decode(pd, IDS).requestId]).toEqual(["___ids", "___ids"]);
    expect(p2p.decode(pd, IDS).members.get("kv_transfer_params")).toBe("null");
  });
});

test("NIXL hands what prefill said to decode, and asks prefill for one token", async () => {
  const { members } = named("nixl").prefill(await pdRequest({ body: { max_tokens: 90 } }), IDS);
  expect([members.get("max_tokens"), members.get("stream")]).toEqual(["1", "false"]);
  expect(jsonOf(members.get("kv_transfer_params"))).toMatchObject({ do_remote_decode: true, remote_host: null });
  expect(named("nixl").handsOver).toBe("kv_transfer_params");
});

test("MoRI-IO serves no route", async () => {
  const { endpoint } = await pdRequest({});
  expect([named("moriio").serves(endpoint), named("nixl").serves(endpoint)]).toEqual([false, true]);
});

describe("over gRPC", () => {
  test("each connector tells a worker in its message what it tells it in a body", async () => {
    const pd = await pdRequest({ prefill: worker({ kv_engine_id: "e" }) });
    for (const name of ["nixl", "mooncake"]) {
      const connector = named(name);
      for (const part of ["prefill", "decode"] as const) {
        const told = connector.handover(pd, IDS, part);
        const inBody = connector[part](pd, IDS).members.get("kv_transfer_params");
        expect(told).toEqual(
          inBody === undefined ? undefined : { kind: "params", json: String(inBody), isPrefill: part === "prefill" },
        );
      }
    }
  });

  test("P2pNccl has nothing for the message", async () => {
    const pd = await pdRequest({});
    expect([named("p2p_nccl").handover(pd, IDS, "prefill"), named("p2p_nccl").handover(pd, IDS, "decode")]).toEqual([
      undefined,
      undefined,
    ]);
  });
});

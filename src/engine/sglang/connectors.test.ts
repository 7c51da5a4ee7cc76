import { expect, test } from "bun:test";
import fc from "fast-check";
import { pdRequest } from "../../../test/support/pd-request.ts";
import { setUpFleet } from "../../../test/support/fleet.ts";
import type { Worker } from "../../worker/worker.ts";
import type { SharedIds } from "../connector.ts";
import { connectors } from "./connectors.ts";

const { byDefault: sglang } = connectors;
const IDS: SharedIds = { rank: 1, rooms: [7n], transferId: "", requestId: "" };

function prefillOf(labels: Record<string, string> = {}, bootstrapPort?: number): Worker {
  return setUpFleet().add("http://p:1", { workerType: "prefill", labels, bootstrapPort });
}

test("both are told where prefill waits, and in which room", async () => {
  const pd = await pdRequest({ prefill: prefillOf({}, 8997) });
  const told = new Map([
    ["bootstrap_host", '"p"'],
    ["bootstrap_port", "8997"],
    ["bootstrap_room", "7"],
  ]);
  expect([sglang.prefill(pd, IDS).members, sglang.decode(pd, IDS).members]).toEqual([told, told]);
});

test("a request for several sequences has a room for each", async () => {
  const pd = await pdRequest({ prefill: prefillOf() });
  const { members } = sglang.prefill(pd, { ...IDS, rooms: [7n, 8n] });
  expect([...members.values()]).toEqual(['["p","p"]', "[8998,8998]", "[7,8]"]);
});

test("where prefill has ranks it is told which one, and decode which one prefills", async () => {
  const pd = await pdRequest({ prefill: prefillOf({ dp_size: "2" }) });
  expect(sglang.prefill(pd, IDS).members.get("routed_dp_rank")).toBe("1");
  expect(sglang.decode(pd, IDS).members.get("disagg_prefill_dp_rank")).toBe("1");
});

test("ranks that a client names are not taken", async () => {
  const pd = await pdRequest({ prefill: prefillOf(), body: { data_parallel_rank: 5, routed_dp_rank: 6 } });
  const { members } = sglang.decode(pd, IDS);
  expect([members.get("data_parallel_rank"), members.get("routed_dp_rank")]).toEqual(["null", "null"]);
});

test("over gRPC both meet in one room of 31 bits, which is still of the rank that prefills", () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 64 }), fc.bigInt(1n, 2n ** 63n - 1n), async (ranks, room) => {
      const pd = await pdRequest({ prefill: prefillOf({ dp_size: String(ranks) }, 8997) });
      const rank = Number(room % BigInt(ranks));
      const told = sglang.handover(pd, { ...IDS, rank, rooms: [room] }, "prefill");
      expect(told).toMatchObject({ kind: "room", host: "p", port: 8997 });
      expect(sglang.handover(pd, { ...IDS, rank, rooms: [room] }, "decode")).toEqual(told);
      const short = told?.kind === "room" ? told.room : 0;
      expect([short > 0, short < 2 ** 31, short % ranks]).toEqual([true, true, rank]);
    }),
  ));

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { PdDialect } from "../engines/pd/pd-options.ts";
import type { TestGateway } from "../support/gateway.ts";
import { post } from "../support/gateway.ts";
import { CHAT, COMPLETIONS, QUESTION } from "../support/pd-client.ts";
import { answerText, type PdFleet, startPdFleet } from "../support/pd-engines.ts";
import { metricOf, startPdGateway } from "../support/pd-gateway.ts";
import { streamText } from "../support/stream-text.ts";

const MESSAGES = { model: "sim-1", max_tokens: 20, messages: [{ role: "user", content: "Is this the night mail?" }] };
const OPENAI: readonly Case[] = [
  ["chat", CHAT, { ...QUESTION, max_completion_tokens: 24, min_tokens: 3 }, 1],
  ["chat, two samples", CHAT, { ...QUESTION, n: 2 }, 2],
  ["completions", COMPLETIONS, { model: "sim-1", prompt: "The night mail crossing", max_tokens: 12 }, 1],
  ["completions of token ids", COMPLETIONS, { model: "sim-1", prompt: [11, 12, 13, 14], max_tokens: 9 }, 1],
  ["completions, a batch", COMPLETIONS, { model: "sim-1", prompt: ["north", "south", "east"], max_tokens: 8 }, 3],
  ["completions, a batch of samples", COMPLETIONS, { model: "sim-1", prompt: ["north", [1, 2]], n: 2 }, 4],
];
const OTHERS: readonly Case[] = [
  ["messages", "/v1/messages", MESSAGES, 1],
  ["responses", "/v1/responses", { model: "sim-1", input: "Letters for the rich", max_output_tokens: 20 }, 1],
];
const NATIVE: readonly Case[] = [
  ["generate", "/generate", { text: "Past cotton grass", sampling_params: { max_new_tokens: 12 } }, 1],
  ["generate of token ids", "/generate", { input_ids: [7, 8, 9] }, 1],
  ["generate, two samples", "/generate", { text: "Past cotton grass", sampling_params: { n: 2 } }, 2],
  ["generate, a batch", "/generate", { text: ["over the border", "and moorland boulder"] }, 2],
  ["generate, a batch of samples", "/generate", { input_ids: [[1, 2], [3]], sampling_params: { n: 2 } }, 4],
];

type Case = readonly [title: string, path: string, body: Record<string, unknown>, sequences: number];

/** What a client may send and must not reach an engine, or not as it is. */
const FORGED = {
  bootstrap_host: "10.0.0.1",
  bootstrap_port: 1,
  bootstrap_room: [9223372036854775000, 1],
  routed_dp_rank: 5,
  data_parallel_rank: 6,
  disagg_prefill_dp_rank: 7,
  kv_transfer_params: { do_remote_prefill: true, remote_host: "10.0.0.1", remote_port: 1, transfer_id: "mine" },
};

const DIALECTS: readonly (readonly [dialect: PdDialect, cases: readonly Case[], handsOverSeveral: boolean])[] = [
  ["sglang", [...OPENAI, ...NATIVE], true],
  ["nixl", [...OPENAI, ...OTHERS], false],
  ["mooncake", [...OPENAI, ...OTHERS], false],
  ["p2p_nccl", [...OPENAI, ...OTHERS], true],
  ["passthrough", [...OPENAI, ...OTHERS], false],
];

for (const [dialect, cases, handsOverSeveral] of DIALECTS) {
  describe(dialect, () => {
    let fleet: PdFleet;
    let gateway: TestGateway;
    beforeAll(async () => {
      fleet = await startPdFleet({ dialect, waitMs: 1000 });
      gateway = await startPdGateway([[dialect, fleet]]);
    });
    afterAll(async () => {
      await gateway[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
    });
    const recomputed = (): number => fleet.decodes.reduce((sum, { record }) => sum + record.recomputed, 0);

    for (const [title, path, body, sequences] of cases) {
      for (const stream of [false, true]) {
        for (const forged of [{}, FORGED]) {
          const isForged = forged === FORGED;
          test(`${title}${stream ? ", streamed" : ""}${isForged ? ", with members of its own" : ""}`, async () => {
            const before = [fleet.kvTokens, recomputed()];
            const response = await post(`${gateway.url}${path}`, { ...forged, ...body, stream });
            const text = await response.text();
            expect([response.status, response.status === 200 ? "" : text]).toEqual([200, ""]);
            const told = stream ? streamText(text) : answerText(JSON.parse(text));
            expect(told).toBe(await fleet.referenceText(path, body));
            expect(fleet.violations).toEqual([]);
            const isHandedOver = sequences === 1 || handsOverSeveral;
            expect([fleet.kvTokens > (before[0] ?? 0), recomputed() - (before[1] ?? 0)]).toEqual(
              isHandedOver ? [true, 0] : [false, 1],
            );
          });
        }
      }
    }

    test("sixty at once keep apart", async () => {
      await using other = await startPdGateway([[dialect, fleet]]);
      const bodies = Array.from({ length: 60 }, (_, index) => ({
        ...QUESTION,
        messages: [{ role: "user", content: `Which train goes to platform ${index}?` }],
      }));
      const told = bodies.map(async (body) => answerText(await (await post(`${other.url}${CHAT}`, body)).json()));
      const expected = bodies.map(async (body) => fleet.referenceText(CHAT, body));
      expect(await Promise.all(told)).toEqual(await Promise.all(expected));
      expect(fleet.violations).toEqual([]);
    });

    test("nothing is left counted, and each worker answered well", async () => {
      const { ledger } = gateway.context;
      for (let wait = 0; ledger.totals().inFlight > 0 && wait < 100; wait += 1) await Bun.sleep(5);
      expect(ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
      const requests = cases.length * 4;
      const skipped = handsOverSeveral ? 0 : cases.filter(([, , , sequences]) => sequences > 1).length * 4;
      const attempts = async (outcome?: string): Promise<number> =>
        metricOf(gateway, "pointsman_worker_attempts_total", outcome === undefined ? {} : { outcome });
      expect([await attempts(), await attempts("abandoned"), await attempts("ok")]).toEqual([
        requests * 2,
        skipped,
        requests * 2 - skipped,
      ]);
      const transfers = async (outcome: string): Promise<number> =>
        metricOf(gateway, "pointsman_kv_transfers_total", { connector: dialect, outcome });
      expect([await transfers("handed_over"), await transfers("skipped"), await transfers("missing")]).toEqual([
        requests - skipped,
        skipped,
        0,
      ]);
      expect(await metricOf(gateway, "pointsman_prefill_duration_seconds_count")).toBe(requests - skipped);
    });
  });
}

import { describe, expect, test } from "bun:test";
import type { EngineFault, EngineRecord } from "../engines/grpc/engine-core.ts";
import type { GenerateRequest as SglangRequest } from "../../src/transport/grpc/generated/engine/sglang.ts";
import type { GenerateRequest as VllmRequest } from "../../src/transport/grpc/generated/engine/vllm.ts";
import { eventsOf, streamText } from "../support/stream-text.ts";
import { eventually, openaiError } from "../faults/observe.ts";
import { post } from "../support/gateway.ts";
import { type GrpcPdOptions, type GrpcPdSetup, type Side, startGrpcPd } from "../support/grpc-pd.ts";
import { metricOf } from "../support/pd-gateway.ts";
import { TINY_MODEL } from "../support/tiny-model.ts";

const CHAT = "/v1/chat/completions";
const QUESTION = { model: TINY_MODEL, messages: [{ role: "user", content: "Where does the train go?" }] };
const NOTHING_LEFT = { inFlight: 0, pendingPromptTokens: 0, decoding: 0 };

async function ask(setup: GrpcPdSetup, body: object = {}): Promise<[status: number, text: string]> {
  const response = await post(`${setup.gateway.url}${CHAT}`, { ...QUESTION, ...body });
  return [response.status, await response.text()];
}

function said([, text]: readonly [number, string]): string {
  const { choices } = JSON.parse(text) as { choices: { message: { content: string } }[] };
  return choices.map(({ message }) => message.content).join("\n");
}

/** What becomes of a request when the engines of one side all have the fault. */
interface Outcome {
  readonly status: number;
  readonly code: string;
  readonly tries: number;
}

const UNREACHABLE: Outcome = { status: 502, code: "upstream_connect_failed", tries: 2 };
const CLOSED: Outcome = { status: 502, code: "upstream_closed", tries: 2 };
const SILENT: Outcome = { status: 504, code: "upstream_timeout", tries: 2 };
const REJECTED: Outcome = { status: 400, code: "upstream_rejected", tries: 1 };
const FAILED: Outcome = { status: 500, code: "upstream_error", tries: 1 };
const BUSY: Outcome = { status: 503, code: "upstream_busy", tries: 2 };
/** Within a stream the client has what came, and is told. */
const within = (code: string): Outcome => ({ status: 200, code, tries: 1 });

const BEFORE: readonly (readonly [title: string, what: EngineFault["what"] | "refuse", Outcome])[] = [
  ["refuses", "refuse", UNREACHABLE],
  ["dies", "die", CLOSED],
  ["resets the call", "reset", CLOSED],
  ["falls silent", "stall", SILENT],
  ["says INVALID_ARGUMENT", { status: 3 }, REJECTED],
  ["says INTERNAL", { status: 13 }, FAILED],
  ["says UNAVAILABLE", { status: 14 }, BUSY],
];

/** When decode has answered in part: whole answers are not there yet, streams are. */
const AFTER: readonly (readonly [title: string, what: EngineFault["what"], whole: Outcome, streamed: Outcome])[] = [
  ["dies", "die", CLOSED, within("upstream_reset")],
  ["resets the call", "reset", CLOSED, within("upstream_reset")],
  ["falls silent", "stall", SILENT, within("upstream_stalled")],
  ["says INTERNAL", { status: 13 }, FAILED, within("upstream_stream_error")],
  ["says UNAVAILABLE", { status: 14 }, BUSY, within("upstream_stream_error")],
];

const KINDS: Readonly<Record<string, GrpcPdOptions>> = {
  SGLang: { kind: "sglang" },
  "vLLM with NIXL": { kind: "vllm" },
  "vLLM with Mooncake": { kind: "vllm", connector: "MooncakeConnector" },
};
/** A prompt takes some tenths of a second, a token 30 ms. */
const SLOW = { prefillTokensPerSec: 200, decodeMs: 30 };
const IMPATIENT = { firstByteTimeoutSecs: 0.25, idleTimeoutSecs: 0.25, healthCheckIntervalSecs: 60 };

/** What engines that nobody disturbs answer. */
const WHOLE = await undisturbed();

async function undisturbed(): Promise<string> {
  await using setup = await startGrpcPd({ kind: "vllm", count: 1 });
  return said(await ask(setup));
}

/** Brings a fault upon a side, and expects what becomes of a request. */
async function expectOutcome(
  options: GrpcPdOptions,
  [side, fault]: readonly [Side, EngineFault | "refuse"],
  stream: boolean,
  { status, code, tries }: Outcome,
): Promise<void> {
  await using setup = await startGrpcPd({ ...options, config: IMPATIENT });
  const { gateway } = setup;
  const engines = side === "prefill" ? setup.prefills : setup.decodes;
  // Engines that are to die send their tokenizer before it.
  await post(`${gateway.url}/tokenize`, { ...QUESTION });
  if (fault === "refuse") for (const engine of engines) engine.die();
  else setup.fault = (at) => (at === side ? fault : undefined);
  const line = gateway.nextLine();
  const [got, text] = await ask(setup, { stream });
  expect([got, await line]).toMatchObject([status, { attempts: tries, error: code, status }]);
  if (status === 200) {
    const pieces = streamText(text);
    expect([pieces.length > 0, WHOLE.startsWith(pieces), WHOLE === pieces]).toEqual([true, true, false]);
    expect(eventsOf(text).at(-1)).toMatchObject({ error: { code } });
    expect(text).not.toContain("[DONE]");
  } else expect(openaiError(text).code).toBe(code);
  await eventually(() => gateway.context.ledger.totals().inFlight === 0, "nothing is counted any more");
  expect(gateway.context.ledger.totals()).toEqual(NOTHING_LEFT);
  const all = [...setup.prefills, ...setup.decodes];
  await eventually(() => all.every(({ running }) => running === 0), "no engine works on it");
  expect(new Set(gateway.context.workerRegistry.all().map(({ breakerState }) => breakerState))).toEqual(
    new Set(["closed"]),
  );
}

for (const [name, options] of Object.entries(KINDS)) {
  // To the router both of vLLM's connectors are in turn.
  for (const side of options.connector ? [] : (["prefill", "decode"] as const)) {
    describe(`${name}: a ${side} worker`, () => {
      for (const [title, what, outcome] of BEFORE) {
        for (const stream of [false, true]) {
          test(`that ${title} before anything came, ${stream ? "streamed" : "whole"}`, async () => {
            const fault = what === "refuse" ? what : { afterTokens: 0, what };
            await expectOutcome(options, [side, fault], stream, outcome);
          });
        }
        if (outcome.tries < 2 || what === "refuse") continue;
        test(`that ${title} before anything came is made up for by another one`, async () => {
          await using setup = await startGrpcPd({ ...options, config: IMPATIENT });
          setup.fault = (at, place) => (at === side && place === 0 ? { afterTokens: 0, what } : undefined);
          for (let count = 0; count < 2; count += 1) expect(said(await ask(setup))).toBe(WHOLE);
          expect(await metricOf(setup.gateway, "pointsman_retries_total")).toBeGreaterThan(0);
        });
      }
    });
  }

  describe(`${name}: a decode worker that has begun`, () => {
    for (const [title, what, whole, streamed] of AFTER) {
      for (const [how, outcome] of [
        ["whole", whole],
        ["streamed", streamed],
      ] as const) {
        test(`and ${title}, ${how}`, async () => {
          await expectOutcome(options, ["decode", { afterTokens: 5, what }], how === "streamed", outcome);
        });
      }
    }
  });

  test(`${name}: a client that leaves frees both engines, at each phase`, async () => {
    await using setup = await startGrpcPd({ ...options, count: 1, engine: { timing: SLOW } });
    const { prefills, decodes, gateway } = setup;
    for (const tokens of [0, 1, 5]) {
      const control = new AbortController();
      const line = gateway.nextLine();
      const asked = fetch(`${gateway.url}${CHAT}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...QUESTION, stream: true, max_tokens: 500, ignore_eos: true }),
        signal: control.signal,
      }).then(async (response) => response.text());
      const before = setup.generations("decode").length;
      if (tokens === 0) await eventually(() => prefills[0]?.running === 1, "prefill runs");
      else
        await eventually(
          () => (setup.generations("decode")[before]?.tokens ?? 0) >= tokens,
          `decode has given ${tokens}`,
        );
      control.abort();
      await asked.catch(() => undefined);
      expect((await line)["status"]).toBe(499);
      await eventually(() => [...prefills, ...decodes].every(({ running }) => running === 0), "both are free");
      expect(gateway.context.ledger.totals()).toEqual(NOTHING_LEFT);
    }
  });
}

describe("what is handed over", () => {
  const legs = (setup: GrpcPdSetup): readonly (readonly [EngineRecord, EngineRecord])[] =>
    setup.generations("decode").map((decode) => {
      const prefill = setup.generations("prefill").find(({ requestId }) => requestId === decode.requestId);
      if (!prefill) throw new Error(`no prefill of ${decode.requestId}`);
      return [prefill, decode];
    });

  test("NIXL: what prefill answered reaches decode word for word, under the same request id, in turn", async () => {
    await using setup = await startGrpcPd({ kind: "vllm" });
    const answers = await Promise.all(Array.from({ length: 20 }, async () => ask(setup)));
    expect(new Set(answers.map(said)).size).toBe(1);
    // The engine refuses a ticket that is not to the letter, and a request id that is another one.
    expect(setup.violations).toEqual([]);
    const pairs = legs(setup);
    expect(pairs.length).toBe(20);
    for (const [prefill, decode] of pairs) {
      expect(prefill.endedOrder).toBeLessThan(decode.order);
      const asked = prefill.message as VllmRequest;
      expect([asked.stream, asked.samplingParams?.maxTokens, asked.samplingParams?.n]).toEqual([false, 1, 1]);
      expect(JSON.parse((decode.message as VllmRequest).kvTransferParamsJson ?? "")).toMatchObject({
        do_remote_prefill: true,
        remote_request_id: prefill.requestId,
      });
      expect(prefill.promptIds).toEqual(decode.promptIds);
    }
    expect(await metricOf(setup.gateway, "pointsman_kv_transfers_total", { outcome: "handed_over" })).toBe(20);
  });

  test("Mooncake: both legs have a transfer id of their own that no other request has", async () => {
    await using setup = await startGrpcPd({ kind: "vllm", connector: "MooncakeConnector" });
    await Promise.all(Array.from({ length: 20 }, async () => ask(setup)));
    expect(setup.violations).toEqual([]);
    const idOf = ({ message }: EngineRecord): unknown =>
      (JSON.parse((message as VllmRequest).kvTransferParamsJson ?? "{}") as Record<string, unknown>)["transfer_id"];
    const ids = legs(setup).map(([prefill, decode]) => [idOf(prefill), idOf(decode)]);
    for (const [one, other] of ids) expect(one).toBe(other);
    expect(new Set(ids.map(([id]) => id)).size).toBe(20);
  });

  test("SGLang: rooms are equal on both legs, unique, of 31 bits, and both are asked at once", async () => {
    await using setup = await startGrpcPd({ kind: "sglang", engine: { msPerToken: 1 } });
    await Promise.all(Array.from({ length: 40 }, async () => ask(setup, { max_tokens: 4 })));
    expect(setup.violations).toEqual([]);
    const roomsOf = ({ message }: EngineRecord): SglangRequest["disaggregatedParams"] =>
      (message as SglangRequest).disaggregatedParams;
    const rooms = legs(setup).map(([prefill, decode]) => {
      expect(roomsOf(decode)).toEqual(roomsOf(prefill));
      expect(decode.order).toBeLessThan(prefill.endedOrder);
      return roomsOf(decode)?.bootstrapRoom ?? -1;
    });
    expect(new Set(rooms).size).toBe(40);
    expect(rooms.every((room) => Number.isInteger(room) && room > 0 && room < 2 ** 31)).toBe(true);
  });

  test("a batch is one hand-over for each prompt, and the answers stand in the order of the prompts", async () => {
    for (const options of Object.values(KINDS)) {
      await using setup = await startGrpcPd(options);
      const prompts = ["Where?", "When?", "Why?"];
      const completions = async (prompt: unknown): Promise<string[]> => {
        const body = { model: TINY_MODEL, prompt, max_tokens: 12 };
        const response = await post(`${setup.gateway.url}/v1/completions`, body);
        return ((await response.json()) as { choices: { text: string }[] }).choices.map(({ text }) => text);
      };
      const together = await completions(prompts);
      expect(setup.generations("prefill").length).toBe(3);
      expect(legs(setup).length).toBe(3);
      const alone = [];
      for (const prompt of prompts) alone.push(...(await completions(prompt)));
      expect(together).toEqual(alone);
      expect(setup.violations).toEqual([]);
    }
  });

  test("several answers: SGLang prefills once for all, vLLM's are left to decode alone", async () => {
    for (const [options, prefills] of [
      [KINDS["SGLang"], 1],
      [KINDS["vLLM with NIXL"], 0],
    ] as const) {
      if (!options) throw new Error("no such kind");
      await using setup = await startGrpcPd(options);
      const answer = await ask(setup, { n: 3 });
      expect([answer[0], new Set(said(answer).split("\n")).size]).toEqual([200, 3]);
      expect([setup.generations("prefill").length, setup.generations("decode").length]).toEqual([prefills, 1]);
      const skipped = await metricOf(setup.gateway, "pointsman_kv_transfers_total", { outcome: "skipped" });
      expect([skipped, setup.violations]).toEqual([1 - prefills, []]);
      expect(setup.gateway.context.ledger.totals()).toEqual(NOTHING_LEFT);
    }
  });
});

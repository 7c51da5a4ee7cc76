import { describe, expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import type { TestGateway } from "../support/gateway.ts";
import { post, startGateway } from "../support/gateway.ts";
import { startGrpcPd } from "../support/grpc-pd.ts";
import { CHAT, QUESTION } from "../support/pd-client.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { repeat, tally } from "../faults/ask.ts";
import { eventually } from "../faults/observe.ts";

/*
 * One worker of two that fails at everything at once: over HTTP with prefill and decode apart, and over gRPC. Over HTTP with
 * one worker for both it is rows 135 to 144 of the faults.
 */

const CLIENTS = 8;
const REQUESTS = 100;
const MOST_FAILED = 12;

/** How often each status came. */
async function askMany({ url }: TestGateway, model: string): Promise<Record<string, number>> {
  const statuses = await repeat(REQUESTS, CLIENTS, async (seed) => {
    const response = await post(url + CHAT, { ...QUESTION, model, seed, max_tokens: 4 });
    await response.text();
    return response.status;
  });
  return tally(statuses);
}

function troubleOf(gateway: TestGateway, url: string): string | undefined {
  return gateway.context.workerRegistry.getByUrl(url)?.trouble?.reason;
}

async function expectHandful(
  gateway: TestGateway,
  model: string,
  bad: string,
  others: readonly string[],
): Promise<void> {
  const { 200: good = 0, 500: failed = 0, ...rest } = await askMany(gateway, model);
  expect([good + failed, rest]).toEqual([REQUESTS, {}]);
  expect(failed).toBeLessThanOrEqual(MOST_FAILED);
  // Where all were answered within a blink, others have to come: two of them prove it.
  let seed = REQUESTS;
  const isEjected = async (): Promise<boolean> => {
    seed += 1;
    await (await post(gateway.url + CHAT, { ...QUESTION, model, seed, max_tokens: 4 })).text();
    return troubleOf(gateway, bad) === "failures";
  };
  await eventually(isEjected, "it is ejected");
  expect(others.map((url) => troubleOf(gateway, url))).toEqual(others.map(() => undefined));
  await eventually(() => gateway.context.ledger.totals().inFlight === 0, "nothing is counted any more");
}

describe("one of two workers fails at everything at once, and is ejected after a handful", () => {
  for (const side of ["prefill", "decode"] as const) {
    for (const dialect of ["sglang", "nixl"] as const) {
      test(`a ${side} worker over HTTP (${dialect})`, async () => {
        await using fleet = await startPdFleet({ dialect });
        const config = { prefillPolicy: "round_robin", decodePolicy: "round_robin" } as const;
        await using gateway = await startPdGateway([[dialect, fleet]], { config });
        const [bad, ...others] = side === "prefill" ? fleet.prefills : fleet.decodes;
        await bad?.setFault({ kind: "status", status: 500 });
        const partners = side === "prefill" ? fleet.decodes : fleet.prefills;
        const urls = [...others, ...partners].map(({ url }) => url);
        await expectHandful(gateway, QUESTION.model, bad?.url ?? "", urls);
      });
    }

    test(`a ${side} worker over gRPC`, async () => {
      await using setup = await startGrpcPd({ kind: "vllm", connector: "NixlConnector" });
      const { gateway, prefills, decodes } = setup;
      setup.fault = (at, place) => (at === side && place === 0 ? { afterTokens: 0, what: { status: 13 } } : undefined);
      const [bad, ...others] = side === "prefill" ? prefills : decodes;
      const partners = side === "prefill" ? decodes : prefills;
      await expectHandful(
        gateway,
        TINY_MODEL,
        bad?.url ?? "",
        [...others, ...partners].map(({ url }) => url),
      );
    });
  }

  for (const [name, status] of Object.entries({ UNKNOWN: 2, ABORTED: 10, INTERNAL: 13, DATA_LOSS: 15 })) {
    test(`a worker over gRPC that says ${name}`, async () => {
      const tiny = await writeTinyModel();
      const options = { kind: "vllm", model: TINY_MODEL, tokenizer: tiny.tokenizer, tokenizerPath: tiny.path } as const;
      await using bad = await startGrpcEngine({ ...options, fault: () => ({ afterTokens: 0, what: { status } }) });
      await using good = await startGrpcEngine(options);
      await using gateway = await startGateway({ workers: [bad.url, good.url] });
      await expectHandful(gateway, TINY_MODEL, bad.url, [good.url]);
    });
  }
});

test("a worker over gRPC that says UNAVAILABLE to everything is asked now and then, and all requests are served", async () => {
  const tiny = await writeTinyModel();
  const options = { kind: "vllm", model: TINY_MODEL, tokenizer: tiny.tokenizer, tokenizerPath: tiny.path } as const;
  let asked = 0;
  await using bad = await startGrpcEngine({
    ...options,
    fault: () => {
      asked += 1;
      return { afterTokens: 0, what: { status: 14 } };
    },
  });
  await using good = await startGrpcEngine(options);
  await using gateway = await startGateway({ workers: [bad.url, good.url] });
  expect(await askMany(gateway, TINY_MODEL)).toEqual({ 200: REQUESTS });
  expect(asked).toBeLessThan(REQUESTS / 4);
  expect(troubleOf(gateway, bad.url)).toBeOneOf(["busy", undefined]);
});

test("a worker of three that fails at a third of its requests is ejected, and the others serve", async () => {
  const choice = { index: 0, message: { role: "assistant", content: "well" }, finish_reason: "stop" };
  const answer = { id: "c", object: "chat.completion", model: "m", choices: [choice] };
  let asked = 0;
  const isTurn = (): boolean => (asked += 1) % 3 === 0;
  const well = (): Response => Response.json(answer);
  const bad = await startEngine({
    model: "m",
    respond: () => (isTurn() ? Response.json({ error: { message: "ECC error" } }, { status: 500 }) : well()),
  });
  const others = [await startEngine({ model: "m", respond: well }), await startEngine({ model: "m", respond: well })];
  try {
    await using gateway = await startGateway({
      workers: [bad, ...others].map(({ url }) => url),
      config: { outlierEjectionSecs: 60 },
    });
    let [sent, failed] = [0, 0];
    const send = async (): Promise<void> => {
      sent += 1;
      const response = await post(gateway.url + CHAT, { ...QUESTION, model: "m", seed: sent, max_tokens: 4 });
      await response.text();
      if (response.status === 500) failed += 1;
    };
    await eventually(async () => (await send(), troubleOf(gateway, bad.url) === "failures"), "it is ejected");
    // Five different ones make it suspected, and some of the probes fail.
    expect(failed).toBeWithin(7, 16);
    const before = failed;
    for (let turn = 0; turn < 60; turn += 1) await send();
    expect(failed).toBe(before);
  } finally {
    for (const engine of [bad, ...others]) await engine.stop();
  }
});

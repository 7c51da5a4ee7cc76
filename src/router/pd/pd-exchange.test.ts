import { describe, expect, test } from "bun:test";
import { type RoutingSetup, setUpRouting } from "../../../test/support/routing.ts";
import { clientClosed, GatewayError } from "../../errors/errors.ts";
import type { Attempt } from "../attempt.ts";
import { PdExchange } from "./pd-exchange.ts";

const LOST = new GatewayError("upstream_closed", "gone");
const SILENT = new GatewayError("upstream_timeout", "nothing came");

interface Setup extends RoutingSetup {
  readonly prefill: Attempt;
  readonly decode: Attempt;
  readonly exchange: PdExchange;
}

function setUp(): Setup {
  const setup = setUpRouting();
  const prefill = setup.attempt(setup.add("http://p:1", { modelId: "m", workerType: "prefill" }));
  const decode = setup.attempt(setup.add("http://d:1", { modelId: "m", workerType: "decode" }));
  return { ...setup, prefill, decode, exchange: new PdExchange(prefill, decode, setup.client) };
}

/** Whether the connections of prefill and of decode were ended. */
const ended = ({ exchange }: Setup): boolean[] => [exchange.prefillSignal.aborted, exchange.decodeSignal.aborted];
const failures = ({ prefill, decode }: Setup): (string | undefined)[] =>
  [prefill, decode].map(({ failure }) => failure?.code);

describe("while both are under way", () => {
  test("prefill's failure ends decode, and the error is prefill's", () => {
    const setup = setUp();
    setup.exchange.prefillFailed(LOST);
    expect([ended(setup), failures(setup)]).toEqual([
      [false, true],
      ["upstream_closed", undefined],
    ]);
    expect(setup.exchange.decodeFailed(clientClosed())).toBe(LOST);
    expect(setup.ledger.totals().inFlight).toBe(0);
  });

  test("decode's failure is decode's", () => {
    const setup = setUp();
    expect(setup.exchange.decodeFailed(LOST)).toBe(LOST);
    expect(failures(setup)).toEqual([undefined, undefined]);
  });

  test("silence is nobody's fault: each may have waited for the other", () => {
    const setup = setUp();
    setup.exchange.decodeAsked();
    setup.exchange.prefillFailed(SILENT);
    expect(failures(setup)).toEqual(["upstream_timeout", "upstream_timeout"]);
    expect(setup.rechecked.map(([, what]) => what)).toEqual(["health", "health"]);
  });

  test("silence of decode is nobody's fault as long as prefill runs, and decode's afterwards", () => {
    const running = setUp();
    running.exchange.decodeFailed(SILENT);
    expect(failures(running)).toEqual(["upstream_timeout", "upstream_timeout"]);
    const over = setUp();
    over.exchange.prefillDone(undefined);
    over.exchange.decodeFailed(SILENT);
    expect(failures(over)).toEqual([undefined, undefined]);
  });
});

describe("once decode sends", () => {
  test("prefill's failure is heard of and ends nothing", () => {
    const setup = setUp();
    setup.exchange.decodeBegan();
    setup.exchange.prefillFailed(LOST);
    expect([ended(setup), failures(setup)]).toEqual([
      [false, false],
      ["upstream_closed", undefined],
    ]);
    expect(setup.exchange.decodeFailed(SILENT)).toBe(SILENT);
  });
});

describe("a client that leaves", () => {
  test("ends both connections, and nobody is blamed", () => {
    const setup = setUp();
    setup.client.leave(clientClosed());
    expect(ended(setup)).toEqual([true, true]);
    setup.exchange.prefillFailed(LOST);
    expect(failures(setup)).toEqual([undefined, undefined]);
  });

  test("before the legs began ends them at once", () => {
    const { prefill, decode, client } = setUp();
    client.leave(clientClosed());
    expect(new PdExchange(prefill, decode, client).decodeSignal.aborted).toBe(true);
  });

  test("when both are over ends nothing any more", () => {
    const setup = setUp();
    setup.exchange.prefillDone(undefined);
    setup.exchange.decodeDone();
    setup.client.leave(clientClosed());
    expect(ended(setup)).toEqual([false, false]);
  });

  test("while prefill has its last word ends that", () => {
    const setup = setUp();
    setup.exchange.decodeDone();
    setup.client.leave(clientClosed());
    expect(ended(setup)).toEqual([true, true]);
  });
});

test("an exchange that is closed gives back the load of its prefill", () => {
  const setup = setUp();
  setup.exchange.close(LOST);
  expect([ended(setup), setup.ledger.inFlight(setup.prefill.worker.slot)]).toEqual([[true, true], 0]);
});

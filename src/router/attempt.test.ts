import { expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { GatewayError, type ErrorCode } from "../errors/errors.ts";
import { RequestRecord } from "../observability/request-record.ts";
import type { Picked } from "../policy/policy.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import type { Worker } from "../worker/worker.ts";
import { Attempt, type AttemptedRequest } from "./attempt.ts";
import { FailureLog } from "./failure-log.ts";

interface Setup extends FleetSetup {
  readonly worker: Worker;
  readonly record: RequestRecord;
  begin(isProbe?: boolean, pick?: Picked): Attempt;
}

function setUp(): Setup {
  const fleet = setUpFleet();
  const worker = fleet.add("http://one:1", { modelId: "m" });
  const { clock, ledger, metrics, board: outcomes } = fleet;
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const failureLog = new FailureLog(silent, clock);
  const deps = { clock, ledger, metrics, outcomes, failedLoad: new FailedLoad(clock), failureLog };
  const record = new RequestRecord("r1", "chat_completions", { settle: () => undefined }, clock);
  const request: AttemptedRequest = {
    body: { bytes: Buffer.from("{}") },
    features: { model: "m", promptTokens: 7 },
    record,
  };
  return {
    ...fleet,
    worker,
    record,
    begin: (isProbe = false, pick?: Picked) => new Attempt(deps, { worker, isProbe, pick }, request),
  };
}

/** As policies see the worker, and as it is. */
const loadsOf = ({ ledger, worker }: Setup): number[] => [ledger.load(worker.slot), ledger.inFlight(worker.slot)];

test("what did not serve stays in the load for a while, a refusal of the request and an answer do not", () => {
  const kept: Partial<Record<ErrorCode, boolean>> = {
    upstream_error: true,
    upstream_connect_failed: true,
    upstream_busy: true,
    upstream_model_missing: true,
    upstream_auth_failed: true,
    upstream_rejected: false,
    upstream_stale_socket: false,
    upstream_connections_full: false,
    client_closed: false,
  };
  for (const [code, isKept] of Object.entries(kept)) {
    const setup = setUp();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of the table above
    setup.begin().end(new GatewayError(code as ErrorCode, "no"));
    expect([code, ...loadsOf(setup)]).toEqual([code, isKept ? 1 : 0, 0]);
    expect(setup.record.failedAttempts).toEqual(isKept ? [{ url: "http://one:1", code }] : undefined);
    setup.clock.advance(1100);
    expect(loadsOf(setup)).toEqual([0, 0]);
  }
  const setup = setUp();
  setup.begin().end();
  expect(loadsOf(setup)).toEqual([0, 0]);
});

test("a proof that takes long is not in the way of another one, and counts all the same when it ends", () => {
  const setup = setUp();
  setup.fault(setup.worker, 4);
  setup.clock.advance(1000);
  const state = (): string | undefined => setup.registry.get(setup.worker.id)?.breakerState;
  expect(setup.ledger.tryAcquireProbe(setup.worker.slot)).toBe(true);
  const long = setup.begin(true);
  setup.clock.advance(29_999);
  expect(setup.ledger.tryAcquireProbe(setup.worker.slot)).toBe(false);
  setup.clock.advance(1);
  expect(setup.ledger.tryAcquireProbe(setup.worker.slot)).toBe(true);
  const other = setup.begin(true);
  long.end();
  expect([state(), setup.ledger.tryAcquireProbe(setup.worker.slot)]).toEqual(["half_open", false]);
  other.end();
  expect(state()).toBe("closed");
});

import { describe, expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { chosen } from "../../test/support/routing.ts";
import { GatewayError, type ErrorCode } from "../errors/errors.ts";
import { PredictionErrors } from "../observability/prediction-errors.ts";
import { RequestRecord } from "../observability/request-record.ts";
import type { PickEnd, Picked, PickOutcome } from "../policy/policy.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import type { Worker } from "../worker/worker.ts";
import { Attempt, type AttemptedRequest } from "./attempt.ts";
import { DecisionLog, type LoggedLeg } from "./decision-log.ts";
import { FailureLog } from "./failure-log.ts";

/** A choice that writes down what it hears, and what the ledger says at that time. */
class Hearing implements Picked {
  readonly index = 0;
  readonly chargeTokens: number | undefined;
  readonly heard: (number | PickEnd)[] = [];

  constructor(chargeTokens?: number) {
    this.chargeTokens = chargeTokens;
  }

  onFirstToken(ms: number): void {
    this.heard.push(ms);
  }

  onEnd(end: PickEnd): void {
    this.heard.push(end);
  }
}

interface Setup extends FleetSetup {
  readonly log: DecisionLog;
  readonly worker: Worker;
  readonly record: RequestRecord;
  begin(isProbe?: boolean, pick?: Picked): Attempt;
}

function setUp(workerType: WorkerType = "regular"): Setup {
  const fleet = setUpFleet();
  const worker = fleet.add("http://one:1", { modelId: "m", workerType });
  const { clock, ledger, metrics, board: outcomes } = fleet;
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const failureLog = new FailureLog(silent, clock);
  const predictionErrors = new PredictionErrors(metrics);
  const failedLoad = new FailedLoad(clock);
  const log = new DecisionLog(4, clock);
  const deps = { clock, ledger, metrics, outcomes, failedLoad, failureLog, decisions: log, predictionErrors };
  const record = new RequestRecord("r1", "chat_completions", { settle: () => undefined }, clock);
  const request: AttemptedRequest = {
    body: { bytes: Buffer.from("{}") },
    features: { model: "m", promptTokens: 7 },
    record,
  };
  return {
    ...fleet,
    log,
    worker,
    record,
    begin: (isProbe = false, pick?: Picked) => new Attempt(deps, chosen(worker, { isProbe, pick }), request),
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

describe("the policy that chose the worker", () => {
  const USAGE = { promptTokens: 9, completionTokens: 4, cachedTokens: 3 };

  test("hears of the first token and of the end, once each and in this order, with times since the worker was charged", () => {
    const { begin, clock, record } = setUp();
    clock.advance(100);
    const pick = new Hearing();
    const attempt = begin(false, pick);
    clock.advance(30);
    attempt.prefillDone();
    attempt.prefillDone();
    clock.advance(20);
    record.tokens = USAGE;
    attempt.end();
    attempt.end();
    attempt.abandon();
    attempt.prefillDone();
    expect(pick.heard).toEqual([30, { outcome: "answered", ms: 50, usage: USAGE }]);
  });

  test("hears only of the end of an answer that comes as a whole", () => {
    const { begin, clock, record } = setUp();
    const pick = new Hearing();
    const attempt = begin(false, pick);
    clock.advance(70);
    record.tokens = USAGE;
    attempt.end();
    expect(pick.heard).toEqual([{ outcome: "answered", ms: 70, usage: USAGE }]);
  });

  test("hears how it ended: the worker failed, or nobody waited any more, or the request was wrong", () => {
    const lost = new GatewayError("upstream_closed", "gone");
    const ends: readonly (readonly [outcome: PickOutcome, end: (attempt: Attempt) => void])[] = [
      ["failed", (attempt) => attempt.end(lost)],
      ["failed", (attempt) => attempt.endUnsure(lost)],
      ["failed", (attempt) => attempt.end(new GatewayError("upstream_busy", "full"))],
      ["abandoned", (attempt) => attempt.abandon()],
      ["abandoned", (attempt) => attempt.end(new GatewayError("client_closed", "left"))],
      ["abandoned", (attempt) => attempt.end(new GatewayError("upstream_rejected", "bad request"))],
      ["abandoned", (attempt) => attempt.end(new GatewayError("upstream_stale_socket", "closed as it was sent"))],
    ];
    for (const [outcome, end] of ends) {
      const { begin } = setUp();
      const pick = new Hearing();
      end(begin(false, pick));
      expect(pick.heard).toEqual([{ outcome, ms: 0, usage: undefined }]);
    }
  });

  test("finds the ledger as it is without the request when it hears of the end, failed or not", () => {
    for (const error of [undefined, new GatewayError("client_closed", "left")]) {
      const { begin, worker } = setUp();
      const seen: number[][] = [];
      const see = (): void => void seen.push([worker.inFlight, worker.pendingPromptTokens, worker.decoding]);
      const attempt = begin(false, { index: 0, onFirstToken: see, onEnd: see });
      see();
      attempt.prefillDone();
      attempt.end(error);
      expect(seen).toEqual([
        [1, 7, 0],
        [1, 0, 1],
        [0, 0, 0],
      ]);
    }
  });

  test("has the ledger charged what it expects the worker to prefill, also where the attempt failed", () => {
    const { begin, worker, clock } = setUp();
    const attempt = begin(false, new Hearing(3));
    expect(worker.pendingPromptTokens).toBe(3);
    attempt.end(new GatewayError("upstream_error", "no"));
    expect(worker.pendingPromptTokens).toBe(3);
    clock.advance(1100);
    expect(worker.pendingPromptTokens).toBe(0);
  });

  test("has the whole prompt charged where it says nothing, and nothing for a decode worker", () => {
    for (const [type, said, charged] of [
      ["regular", undefined, 7],
      ["prefill", undefined, 7],
      ["prefill", 0, 0],
      ["decode", undefined, 0],
      ["decode", 5, 5],
    ] as const) {
      const { begin, worker } = setUp(type);
      begin(false, new Hearing(said));
      expect([type, said, worker.pendingPromptTokens]).toEqual([type, said, charged]);
    }
  });

  test("may know the prompt's length better than the request's size tells it", () => {
    const { begin, worker } = setUp();
    begin();
    expect(worker.contextTokens).toBe(7);
    begin(false, { index: 0, chargeTokens: 1, contextTokens: 20 });
    expect(worker.contextTokens).toBe(27);
  });

  test("need not want to hear anything", () => {
    const { begin, worker } = setUp();
    const attempt = begin(false, { index: 0, chargeTokens: 2 });
    attempt.prefillDone();
    attempt.end();
    expect(worker.inFlight).toBe(0);
  });
});

describe("the log of choices", () => {
  const legOf = ({ log }: Setup): LoggedLeg | undefined =>
    log.find({ requestId: "r1", model: undefined, worker: undefined, limit: 1 })[0]?.legs[0];

  test("has the attempt while it runs, its first token, and its end with the worker's counts", () => {
    const setup = setUp();
    const { begin, clock, record } = setup;
    record.attempts = 2;
    const attempt = begin(false, { index: 0, chargeTokens: 5, predictedTtftMs: 40 });
    expect(legOf(setup)).toMatchObject({ worker: "http://one:1", outcome: "running", predictedTtftMs: 40 });
    clock.advance(30);
    attempt.prefillDone();
    clock.advance(20);
    record.tokens = { promptTokens: 9, completionTokens: 4, cachedTokens: 3 };
    attempt.end();
    expect(legOf(setup)).toMatchObject({ ttftMs: 30, durationMs: 50, outcome: "ok", promptTokens: 9, cachedTokens: 3 });
  });

  test("has how an attempt failed or was abandoned", () => {
    const failed = setUp();
    failed.begin().end(new GatewayError("upstream_closed", "gone"));
    expect(legOf(failed)?.outcome).toBe("upstream_closed");
    const abandoned = setUp();
    abandoned.begin().abandon();
    expect(legOf(abandoned)?.outcome).toBe("abandoned");
  });
});

describe("the time to the first token that was predicted", () => {
  const counted = ({ metrics }: Setup): string | undefined =>
    /^pointsman_ttft_prediction_error_sum\{model="other",worker="http:\/\/one:1"\} (\S+)$/m.exec(metrics.expose())?.[1];

  test("is compared with the real one when it comes", () => {
    const setup = setUp();
    const attempt = setup.begin(false, { index: 0, predictedTtftMs: 40 });
    setup.clock.advance(60);
    attempt.prefillDone();
    attempt.prefillDone();
    expect(counted(setup)).toBe("1.5");
  });

  test("counts as late by as much as was waited, where a stream ended before its first token", () => {
    const ends: readonly ((attempt: Attempt) => void)[] = [
      (attempt) => attempt.end(new GatewayError("client_closed", "left")),
      (attempt) => attempt.end(new GatewayError("upstream_closed", "gone")),
      (attempt) => attempt.abandon(),
    ];
    for (const end of ends) {
      const [late, early, plain, answered] = [setUp(), setUp(), setUp(), setUp()];
      for (const [setup, ms] of [
        [late, 80],
        [early, 30],
      ] as const) {
        setup.record.isStream = true;
        const attempt = setup.begin(false, { index: 0, predictedTtftMs: 40 });
        setup.clock.advance(ms);
        end(attempt);
      }
      const whole = plain.begin(false, { index: 0, predictedTtftMs: 40 });
      plain.clock.advance(80);
      end(whole);
      answered.record.isStream = true;
      const stream = answered.begin(false, { index: 0, predictedTtftMs: 40 });
      answered.clock.advance(20);
      stream.prefillDone();
      answered.clock.advance(80);
      end(stream);
      expect([late, early, plain, answered].map(counted)).toEqual(["2", undefined, undefined, "0.5"]);
    }
  });

  test("is not where nothing was predicted, or no first token came", () => {
    const plain = setUp();
    plain.begin(false, { index: 0 }).prefillDone();
    const whole = setUp();
    whole.begin(false, { index: 0, predictedTtftMs: 40 }).end();
    expect([counted(plain), counted(whole)]).toEqual([undefined, undefined]);
  });
});

describe("cached tokens that were predicted", () => {
  const counted = ({ metrics }: Setup): (string | undefined)[] =>
    ["predicted", "found"].map(
      (what) =>
        new RegExp(`^pointsman_${what}_cached_prompt_tokens_total\\{.*\\} (\\S+)$`, "m").exec(metrics.expose())?.[1],
    );
  const end = (setup: Setup, cachedTokens: number | undefined): void => {
    const attempt = setup.begin(false, { index: 0, predictedCachedTokens: 500 });
    setup.record.tokens = { promptTokens: 600, completionTokens: 5, cachedTokens };
    attempt.end();
  };

  test("are compared with those that the answer tells", () => {
    const setup = setUp();
    end(setup, 320);
    end(setup, 0);
    expect(counted(setup)).toEqual(["1000", "320"]);
  });

  test("of a pair are those of its prefill worker, by what its own answer tells", () => {
    const pick = { index: 0, predictedCachedTokens: 500 };
    const tokens = { promptTokens: 600, completionTokens: 1, cachedTokens: 320 };
    const prefill = setUp("prefill");
    prefill.begin(false, pick).end(undefined, tokens);
    expect(counted(prefill)).toEqual(["500", "320"]);
    const decode = setUp("decode");
    decode.record.prefillWorkerId = "p";
    decode.record.tokens = tokens;
    decode.begin(false, pick).end();
    expect(counted(decode)).toEqual([undefined, undefined]);
    // It has prefilled alone.
    decode.record.prefillWorkerId = undefined;
    decode.begin(false, pick).end();
    expect(counted(decode)).toEqual(["500", "320"]);
  });

  test("are not where the answer does not tell", () => {
    const setup = setUp();
    end(setup, undefined);
    expect(counted(setup)).toEqual([undefined, undefined]);
  });
});

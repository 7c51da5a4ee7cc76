import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import { type Job, runJob, USUAL_SITUATION } from "./job.ts";
import type { Summary } from "./driver-summary.ts";

const JOB: Job = {
  ...USUAL_SITUATION,
  ...{ load: "chat", isTrace: false, policy: "mine", seed: 1, rate: 1, durationSecs: 6, workers: 3 },
};

function run(own: PolicyModule, policy = "mine"): Summary {
  return runJob({ ...JOB, policy }, { traces: new Map(), own }, () => undefined).summary;
}

/** The error that ends a run. */
function failure(own: PolicyModule, policy?: string): readonly [code: string, message: string] {
  try {
    run(own, policy);
  } catch (error) {
    if (error instanceof GatewayError) return [error.code, error.message];
    throw error;
  }
  throw new Error("the run came to an end");
}

const picking = (pick: () => number): PolicyModule => ({ name: "mine", create: () => ({ pick }) });

describe("a policy of an operator's module in a simulation", () => {
  test("chooses as in the gateway, in both forms, with its options and the parts that a gateway gives", () => {
    const given: unknown[] = [];
    const own: PolicyModule = {
      name: "mine",
      options: { parse: (options) => options },
      create: (options, parts) => {
        given.push(options, Object.keys(parts).sort());
        return { pick: () => 2 };
      },
    };
    expect(run(own, "mine:favourite=2").maxShare).toBe(1);
    const parts = ["gateway", "memory", "now", "random", "tell", "thread", "threads"];
    expect(given).toEqual([{ favourite: 2 }, parts]);
    const old: PolicyModule = { name: "mine", create: () => ({ select: ({ length }) => length - 1 }) };
    expect(run(old).maxShare).toBe(1);
  });

  test("may choose nobody: then the request fails", () => {
    const { requests, failed } = run(picking(() => -1));
    expect([requests > 0, failed]).toEqual([true, requests]);
  });

  test("that fails ends the run, and the error says what it did", () => {
    const broken = (): never => {
      throw new TypeError("no");
    };
    const hooked: PolicyModule = { name: "mine", create: () => ({ pick: () => ({ index: 0, onFirstToken: broken }) }) };
    expect(failure(picking(broken))).toEqual(["policy_failed", "mine: pick() threw TypeError: no"]);
    expect(failure(hooked)).toEqual(["policy_failed", "mine: onFirstToken() threw TypeError: no"]);
    expect(failure({ name: "mine", create: broken })).toEqual(["policy_failed", "mine: create() threw TypeError: no"]);
    expect(failure(picking(() => 7))[1]).toStartWith("mine: pick() returned 7 and should return an index from 0 to 2");
  });

  test("that takes no options is told of one", () => {
    expect(
      failure(
        picking(() => 0),
        "mine:a=1",
      ),
    ).toEqual(["invalid_request", "the policy mine takes no options: its module exports no schema (options) for them"]);
  });
});

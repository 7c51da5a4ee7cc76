import { expect, test } from "bun:test";
import { idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { GatewayError } from "../errors/errors.ts";
import { GuardedPolicy, type PolicyFault, type SelectingPolicy } from "./guarded-policy.ts";

const CANDIDATES = [0, 1].map(idleCandidate);

/** What the guard makes of a policy that returns this, and what it tells. */
function ask(select: () => unknown): { readonly outcome: unknown; readonly faults: readonly PolicyFault[] } {
  const faults: PolicyFault[] = [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what an operator writes need not be of the type
  const create = (): SelectingPolicy => ({ select }) as SelectingPolicy;
  const policy = new GuardedPolicy({ name: "mine", create, onFault: (fault) => faults.push(fault) });
  try {
    return { outcome: policy.pick(CANDIDATES, requestWith()), faults };
  } catch (error) {
    return { outcome: error instanceof GatewayError ? error.code : error, faults };
  }
}

test("an index of a candidate is passed on without a word, and -1 for none with one", () => {
  for (const index of [0, 1]) expect(ask(() => index)).toEqual({ outcome: index, faults: [] });
  const { outcome, faults } = ask(() => -1);
  expect([outcome, faults.map(({ what }) => what)]).toEqual([-1, ["select() chose none of 2 workers"]]);
});

test("what is no index of a candidate refuses the request and is named", () => {
  for (const [value, said] of [
    [2, "2"],
    [-2, "-2"],
    [Number.NaN, "NaN"],
    [0.5, "0.5"],
    ["0", '"0"'],
    [undefined, "undefined"],
    [null, "null"],
    [{}, "an object"],
  ] as const) {
    const { outcome, faults } = ask(() => value);
    expect([value, outcome, faults.map(({ what }) => what)]).toEqual([
      value,
      "policy_failed",
      [`select() returned ${said} and should return an index from 0 to 1, or -1 for none`],
    ]);
  }
});

test("a Promise is named as one, and one that is rejected does not end the process", async () => {
  const { outcome, faults } = ask(() => Promise.reject(new Error("later")));
  expect([outcome, faults.length]).toEqual(["policy_failed", 1]);
  expect(faults[0]?.what).toContain("returned a Promise");
  await Bun.sleep(0);
});

test("what select() throws is told with its place, whatever it is", () => {
  const { outcome, faults } = ask(() => {
    throw new Error("boom");
  });
  expect([outcome, faults[0]?.what]).toEqual(["policy_failed", "select() threw Error: boom"]);
  expect(faults[0]?.stack).toContain("guarded-policy.test.ts:");
  const bare = ask(() => {
    // oxlint-disable-next-line typescript/only-throw-error -- an operator's policy may
    throw null;
  });
  expect([bare.outcome, bare.faults[0]?.what]).toEqual(["policy_failed", "select() threw null"]);
});

test("create() that throws, and forget() that throws, are told and stop nothing but this policy's requests", () => {
  const faults: string[] = [];
  const onFault = ({ what }: PolicyFault): void => void faults.push(what);
  const broken = new GuardedPolicy({
    name: "mine",
    create: () => {
      throw new Error("not now");
    },
    onFault,
  });
  expect(() => broken.pick(CANDIDATES, requestWith())).toThrow("the routing policy of this model failed");
  const forgetful = new GuardedPolicy({
    name: "mine",
    create: () => ({
      name: "mine",
      select: () => 0,
      forget: () => {
        throw new Error("cannot forget");
      },
    }),
    onFault,
  });
  forgetful.forget("w0", 0);
  expect(forgetful.pick(CANDIDATES, requestWith())).toBe(0);
  expect(faults).toEqual(["create() threw Error: not now", "forget() threw Error: cannot forget"]);
});

import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { keyNamed, fixed } from "../../test/support/keys.ts";
import { refusal } from "../../test/support/refusal.ts";
import { UNLIMITED } from "./key-record.ts";
import { KeyRing, openThreadKeys } from "./key-ring.ts";
import type { KeyLimits } from "./limits.ts";
import type { Limits, Principal, Role } from "./principal.ts";
import { rowVersion, type SubjectRows } from "./subject-rows.ts";
import type { VerifiedToken } from "./token-claims.ts";

function tokenOf(name: string, roles: readonly Role[] = ["client"]): VerifiedToken {
  const said = { priority: "normal", models: undefined, limits: undefined, row: -1 } as const;
  return { principal: { name, isBearer: true, roles, ...said }, expiresAt: 1e12, rowVersion: 0 };
}

interface Setup {
  readonly clock: ManualClock;
  readonly ring: KeyRing;
  readonly subjects: SubjectRows;
  readonly counts: KeyLimits;
  /** The bearer, admitted. */
  admit(name: string): Principal;
  /** A request of the bearer, and how it ended: nothing where it was counted. */
  ask(principal: Principal): unknown[];
}

function setUp(limits: Partial<Limits>, bearers = 2): Setup {
  const clock = new ManualClock();
  const ring = new KeyRing({ fixed: fixed([keyNamed("key")]), capacity: 0, bearers, threads: 2, clock });
  ring.noteClock();
  const subjects = ring.subjects();
  subjects.replace({ ...UNLIMITED, ...limits });
  const counts = openThreadKeys(ring.memory.buffer, 0, clock).limits;
  return {
    clock,
    ring,
    subjects,
    counts,
    admit: (name) => subjects.admit(tokenOf(name)).principal,
    ask: (principal) => refusal(() => counts.enter(principal, principal.limits ?? UNLIMITED)),
  };
}

describe("the limits of a bearer", () => {
  test("are counted by its name, whichever of its tokens it sends, on all threads, and apart from those of others and of keys", () => {
    const { admit, ask, clock, ring } = setUp({ requestsPerMinute: 2 });
    const [first, again, other] = [admit("ann"), admit("ann"), admit("bob")];
    expect([ask(first), ask(again), ask(first)]).toEqual([[], [], ["rate_limit_exceeded", 429, 30]]);
    const second = openThreadKeys(ring.memory.buffer, 1, clock).limits;
    expect(refusal(() => second.enter(again, again.limits ?? UNLIMITED))[0]).toBe("rate_limit_exceeded");
    expect(ask(other)).toEqual([]);
    expect(ring.table().find("key")).toMatchObject({ principal: { limits: undefined } });
  });

  test("are told as the bearer's", () => {
    const { admit, counts } = setUp({ maxConcurrent: 1, requestsPerMinute: 9, tokensPerMinute: 5 });
    const ann = admit("ann");
    const limits = ann.limits ?? UNLIMITED;
    counts.enter(ann, limits);
    expect(() => counts.enter(ann, limits)).toThrow("no more than 1 requests at once by the bearer of this token");
    expect(() => counts.reserve(ann, limits, 6)).toThrow("no more than 5 tokens a minute by the bearer of this token");
  });

  test("are none where none is set, or where it sends no inference requests: then it has no row", () => {
    const { subjects } = setUp({});
    expect(subjects.admit(tokenOf("ann"))).toEqual(tokenOf("ann"));
    subjects.replace({ ...UNLIMITED, requestsPerMinute: 1 });
    expect(subjects.admit(tokenOf("ops", ["admin"]))).toEqual(tokenOf("ops", ["admin"]));
  });

  test("may change, and what was used stays counted", () => {
    const { admit, ask, subjects } = setUp({ requestsPerMinute: 1 });
    expect([ask(admit("ann")), ask(admit("ann"))[0]]).toEqual([[], "rate_limit_exceeded"]);
    subjects.replace({ ...UNLIMITED, requestsPerMinute: 2 });
    expect([ask(admit("ann"))[0], ask(admit("bob"))]).toEqual(["rate_limit_exceeded", []]);
  });
});

describe("where all rows are taken", () => {
  test("a new bearer gets that of one whose buckets are full, the one that was verified longest ago, and that one is told so", () => {
    const { admit, ask, clock, counts, subjects, ring } = setUp({ requestsPerMinute: 60 });
    const ann = subjects.admit(tokenOf("ann"));
    const bob = admit("bob");
    admit("ann");
    for (const principal of [bob, ann.principal]) {
      ask(principal);
      counts.leave(principal, principal.limits ?? UNLIMITED);
    }
    expect(refusal(() => admit("eve"))).toEqual(["rate_limit_exceeded", 429, 5]);
    // A bucket is full after a second, by the time of the thread: that is ahead by what the machine took to make it.
    clock.advance(2000);
    const eve = admit("eve");
    expect([eve.row, rowVersion(ring.memory, ann.principal.row) === ann.rowVersion]).toEqual([bob.row, true]);
    const later = admit("bob");
    expect([later.row, rowVersion(ring.memory, ann.principal.row) === ann.rowVersion]).toEqual([
      ann.principal.row,
      false,
    ]);
  });

  test("a bearer with a request in flight keeps its row however long that takes, also where no bound of them is set", () => {
    const { admit, ask, clock, counts } = setUp({ tokensPerMinute: 100 });
    const [ann, bob] = [admit("ann"), admit("bob")];
    ask(ann);
    ask(bob);
    clock.advance(3_600_000);
    expect(refusal(() => admit("eve"))).toEqual(["rate_limit_exceeded", 429, 5]);
    counts.leave(bob, bob.limits ?? UNLIMITED);
    // It looks again after a second.
    expect(refusal(() => admit("eve"))).toEqual(["rate_limit_exceeded", 429, 5]);
    clock.advance(1000);
    expect(admit("eve").row).toBe(bob.row);
    expect(admit("ann").row).toBe(ann.row);
  });

  test("keys have the rows that are theirs, and bearers take none of them", () => {
    const { ring, admit } = setUp({ requestsPerMinute: 1 }, 1000);
    for (let count = 0; count < 1000; count += 1) admit(`user-${count}`);
    const keys = Array.from({ length: 1000 }, (_, index) => keyNamed(`k${index}`));
    ring.replace(fixed(keys));
    for (const { name } of keys) expect(ring.table().find(name)).toMatchObject({ principal: { name } });
    expect(new Set(Array.from({ length: 1000 }, (_, index) => admit(`user-${index}`).row)).size).toBe(1000);
  });
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { ApplyError, type ConfigParticipant, LiveConfig } from "./live-config.ts";

const { config } = loadConfig({ env: {}, flags: NO_FLAGS });
const next: Config = { ...config, queueSize: 7 };

interface Part extends ConfigParticipant {
  /** Queue sizes that it has carried out, in order. */
  readonly applied: number[];
}

function part(name: string, more: Partial<ConfigParticipant> = {}): Part {
  const applied: number[] = [];
  return {
    name,
    keys: ["queueSize"],
    applied,
    ...more,
    apply(to, from) {
      applied.push(to.queueSize);
      return more.apply?.(to, from);
    },
  };
}

function liveWith(...parts: readonly ConfigParticipant[]): LiveConfig {
  const live = new LiveConfig(config);
  for (const one of parts) live.register(one);
  return live;
}

const fails = (reason: string) => (): never => {
  throw new Error(reason);
};

describe("a check", () => {
  test("asks every part in order, waits for each, and changes nothing", async () => {
    const said: string[] = [];
    const slow = part("slow", {
      check: async () => {
        await Promise.resolve();
        said.push("slow");
      },
    });
    const quick = part("quick", { check: () => void said.push("quick") });
    const live = liveWith(slow, quick);
    await live.check(next);
    expect([said, slow.applied, quick.applied, live.config]).toEqual([["slow", "quick"], [], [], config]);
  });

  test("rejects with the refusal of the first part that refuses", async () => {
    const live = liveWith(part("a"), part("b", { check: fails("b cannot") }), part("c", { check: fails("c cannot") }));
    expect(live.check(next)).rejects.toThrow("b cannot");
  });
});

describe("a change", () => {
  test("is begun by all parts in one turn, and last ones wait until the others are done", async () => {
    const gate = Promise.withResolvers<void>();
    const [slow, quick, last] = [part("slow", { apply: () => gate.promise }), part("quick"), part("last")];
    const live = liveWith();
    live.register(last, { isLast: true });
    live.register(slow);
    live.register(quick);
    const applying = live.apply(next);
    expect([slow.applied, quick.applied, last.applied]).toEqual([[7], [7], []]);
    gate.resolve();
    await applying;
    expect([last.applied, live.config.queueSize]).toEqual([[7], 7]);
  });

  for (const [how, apply] of [
    ["throws", fails("no memory")],
    ["rejects", () => Promise.reject(new Error("no memory"))],
  ] as const) {
    test(`goes back everywhere where a part ${how}`, async () => {
      const [before, after, last] = [part("before"), part("after"), part("last")];
      let isFirst = true;
      const broken = part("broken", {
        apply() {
          if (!isFirst) return undefined;
          isFirst = false;
          return apply();
        },
      });
      const live = liveWith(before, broken, after);
      live.register(last, { isLast: true });
      const failure: unknown = await live.apply(next).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(ApplyError);
      expect(failure).toMatchObject({ message: "no memory", stuck: [] });
      expect([before.applied.at(-1), broken.applied.at(-1), last.applied]).toEqual([100, 100, []]);
      expect(after.applied.at(-1) ?? 100).toBe(100);
      expect(live.config).toBe(config);
    });
  }

  test("names the parts that cannot go back", async () => {
    const live = liveWith(part("stubborn", { apply: fails("never") }));
    expect(await live.apply(next).catch((error: unknown) => error)).toMatchObject({ stuck: ["stubborn"] });
  });

  test("does not reach a part that was taken away", async () => {
    const one = part("one");
    const live = liveWith();
    live.register(one)();
    await live.apply(next);
    expect([one.applied, [...live.keys]]).toEqual([[], []]);
  });
});

test("whatever fails, every part ends with the configuration in force", async () => {
  const step = fc.record({
    size: fc.integer({ min: 1, max: 9 }),
    failing: fc.integer({ min: -1, max: 3 }),
    isLate: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      let failing = -1;
      let isLate = false;
      const has = [100, 100, 100, 100];
      const live = new LiveConfig(config);
      for (const index of has.keys()) {
        live.register(
          {
            name: `part ${index}`,
            keys: [],
            apply(to) {
              const mayFail = failing === index;
              if (mayFail) failing = -1;
              if (mayFail && !isLate) throw new Error("now");
              has[index] = to.queueSize;
              return mayFail ? Promise.reject(new Error("late")) : undefined;
            },
          },
          { isLast: index === 3 },
        );
      }
      let inForce = 100;
      for (const { size, ...how } of steps) {
        ({ failing, isLate } = how);
        const isWrong = failing >= 0;
        const outcome = await live.apply({ ...config, queueSize: size }).then(
          () => "applied",
          () => "refused",
        );
        expect(outcome).toBe(isWrong ? "refused" : "applied");
        if (!isWrong) inForce = size;
        expect([has, live.config.queueSize]).toEqual([[inForce, inForce, inForce, inForce], inForce]);
      }
    }),
    { numRuns: 200 },
  );
});

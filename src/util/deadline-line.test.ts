import { expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { DeadlineLine, type Timed } from "./deadline-line.ts";

test("each is due once, when its time is over or up to 100 ms later, unless it was taken out; then nothing is waited for", () => {
  const step = fc.record({ wait: fc.nat(300), takeOut: fc.option(fc.nat(20)) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
      const clock = new ManualClock();
      const due = new Map<number, number>();
      const line = new DeadlineLine<number>(clock, 1000, (subject) => due.set(subject, clock.now()));
      const all: Timed<number>[] = [];
      const expected = new Map<number, number>();
      for (const [subject, { wait, takeOut }] of steps.entries()) {
        all.push(line.add(subject, clock.now()));
        expected.set(subject, clock.now() + 1000);
        const other = takeOut === null ? undefined : all[takeOut];
        if (other) {
          line.delete(other);
          // A subject that is due stays due.
          if (!due.has(other.subject)) expected.delete(other.subject);
        }
        clock.advance(wait);
      }
      clock.advance(2000);
      expect([...due.keys()]).toEqual([...expected.keys()]);
      for (const [subject, at] of due) expect(at - (expected.get(subject) ?? 0)).toBeWithin(0, 101);
      expect(clock.pending).toBe(0);
    }),
  );
});

test("one that is taken out as another is due is not due, and none is taken out twice", () => {
  const clock = new ManualClock();
  const due: string[] = [];
  const line = new DeadlineLine<string>(clock, 100, (subject) => {
    due.push(subject);
    line.delete(second);
  });
  const first = line.add("first", 0);
  const second = line.add("second", 0);
  const third = line.add("third", 0);
  line.delete(third);
  line.delete(third);
  clock.advance(500);
  line.delete(first);
  expect([due, clock.pending]).toEqual([["first"], 0]);
});

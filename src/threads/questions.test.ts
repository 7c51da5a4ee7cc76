import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { Questions } from "./questions.ts";

test("a question gets its own answer, in any order, and only the first", async () => {
  const clock = new ManualClock();
  const questions = new Questions<string>(clock, 1000);
  const ids: number[] = [];
  const answers = [questions.ask((id) => ids.push(id)), questions.ask((id) => ids.push(id))];
  const [first = -1, second = -1] = ids;
  questions.answer(second, "second");
  questions.answer(first, "first");
  questions.answer(first, "again");
  expect(await Promise.all(answers)).toEqual(["first", "second"]);
  expect(clock.pending).toBe(0);
});

test("a question that is not answered in time has no answer, and one that comes later is dropped", async () => {
  const clock = new ManualClock();
  const questions = new Questions<string>(clock, 1000);
  let asked = -1;
  const answer = questions.ask((id) => (asked = id));
  clock.advance(1000);
  questions.answer(asked, "late");
  expect(await answer).toBeUndefined();
});

test("nobody waits any more once they are closed", async () => {
  const clock = new ManualClock();
  const questions = new Questions<string>(clock, 1000);
  const answers = [questions.ask(() => undefined), questions.ask(() => undefined)];
  questions.close();
  expect([await Promise.all(answers), clock.pending]).toEqual([[undefined, undefined], 0]);
});

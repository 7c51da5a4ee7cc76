import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { SharedAnswer } from "./shared-answer.ts";

describe("a question that anybody may ask", () => {
  test("is asked once at a time, and its answer holds for a second from when it came", async () => {
    const clock = new ManualClock();
    const questions: PromiseWithResolvers<number>[] = [];
    const shared = new SharedAnswer(
      () => {
        const question = Promise.withResolvers<number>();
        questions.push(question);
        return question.promise;
      },
      1000,
      clock,
    );
    const first = Promise.all(Array.from({ length: 500 }, () => shared.get()));
    clock.advance(30_000);
    const late = shared.get();
    questions[0]?.resolve(1);
    expect(new Set([...(await first), await late])).toEqual(new Set([1]));
    clock.advance(999);
    expect([await shared.get(), questions.length]).toEqual([1, 1]);
    clock.advance(1);
    const next = shared.get();
    questions[1]?.resolve(2);
    expect([await next, questions.length]).toEqual([2, 2]);
  });

  test("that fails has failed for all who ask within the second", async () => {
    const clock = new ManualClock();
    let asked = 0;
    const shared = new SharedAnswer(
      () => {
        asked += 1;
        return Promise.reject(new Error(`failure ${asked}`));
      },
      1000,
      clock,
    );
    const failure = (): Promise<string> => shared.get().catch(String);
    expect(await Promise.all([failure(), failure()])).toEqual(["Error: failure 1", "Error: failure 1"]);
    clock.advance(500);
    expect(await failure()).toBe("Error: failure 1");
    clock.advance(500);
    expect(await failure()).toBe("Error: failure 2");
  });
});

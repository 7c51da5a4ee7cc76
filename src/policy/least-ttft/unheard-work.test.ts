import { describe, expect, test } from "bun:test";
import { UnheardWork } from "./unheard-work.ts";

/** A gateway that for 200 s heard ten times a second, `lateS` late, of 500 tokens that each of the others had sent. */
function heardFrom(others: readonly string[], lateS: number): UnheardWork {
  const unheard = new UnheardWork("m");
  for (let now = 0; now < 200; now += 0.1) for (const name of others) unheard.heard(name, now, now - lateS, 500);
  return unheard;
}

describe("work of other gateways that has not been heard of", () => {
  test("is nothing before there is news, and where news comes at once", () => {
    const unheard = new UnheardWork("m");
    unheard.refresh(1);
    expect([unheard.totalWork, unheard.gateways]).toEqual([0, 1]);
    const atOnce = heardFrom(["a"], 0);
    atOnce.refresh(200);
    expect(atOnce.totalWork).toBe(0);
  });

  test("is what each of them sends in the time that its news takes", () => {
    const unheard = heardFrom(["a", "z"], 0.2);
    unheard.refresh(200);
    // 5,000 tokens and ten requests a second, for 0.2 s.
    for (const place of [0, 2]) {
      expect(unheard.workOf(place)).toBeGreaterThan(980);
      expect(unheard.workOf(place)).toBeLessThan(1020);
      expect(Math.abs(unheard.requestsOf(place) - 2)).toBeLessThan(0.05);
    }
    expect(unheard.totalWork).toBe(unheard.workOf(0) + unheard.workOf(2));
    expect(unheard.totalRequests).toBe(unheard.requestsOf(0) + unheard.requestsOf(2));
  });

  test("has the gateways in the order of their names, with nothing at the place of this one", () => {
    const unheard = heardFrom(["z", "a", "b"], 0.1);
    unheard.refresh(200);
    expect([unheard.gateways, unheard.ownPlace, unheard.workOf(2)]).toEqual([4, 2, 0]);
    for (const place of [0, 1, 3]) expect(unheard.workOf(place)).toBeGreaterThan(0);
  });

  test("is forgotten when the others fall silent, and so are they", () => {
    const unheard = heardFrom(["a"], 0.2);
    unheard.refresh(300);
    expect(unheard.totalWork).toBeLessThan(10);
    expect(unheard.gateways).toBe(2);
    unheard.refresh(401);
    expect([unheard.totalWork, unheard.gateways, unheard.ownPlace]).toEqual([0, 1, 0]);
  });

  test("does not grow with a clock that is hours behind, nor get less than nothing with one that is ahead", () => {
    const behind = heardFrom(["a"], 7200);
    const ahead = heardFrom(["a"], -7200);
    behind.refresh(200);
    ahead.refresh(200);
    expect(behind.totalWork).toBeLessThan(5.1 * 5000);
    expect(ahead.totalWork).toBe(0);
  });

  test("is kept for 255 others, of which those that told something last are kept", () => {
    const unheard = new UnheardWork("m");
    for (let number = 0; number < 400; number += 1) unheard.heard(`${number}`, number / 10, number / 10 - 1, 1000);
    unheard.refresh(40);
    expect(unheard.gateways).toBe(256);
    // One request each, told within the last 25.5 s.
    expect(unheard.totalRequests).toBeGreaterThan(0.2);
    expect(unheard.totalRequests).toBeLessThan(255 * 0.05 * (1 / 20));
  });
});

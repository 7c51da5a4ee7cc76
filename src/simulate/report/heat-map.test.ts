import { expect, test } from "bun:test";
import { heatMap } from "./heat-map.ts";

function rectangles(inFlight: readonly (readonly number[])[], most: number): string[] {
  const drawn = heatMap({ label: "shown", title: "p", inFlight, most, secs: 10 });
  return Array.from(
    drawn.matchAll(/<rect class="heat" x="([\d.]+)" .*?width="([\d.]+)" .*?fill-opacity="([\d.]+)"/g),
    (found) => found.slice(1).join(" "),
  );
}

test("spans of one load are one rectangle, idle ones are none, and the darkest is the most", () => {
  // Each of the four spans is 73.5 wide, from 26 on.
  expect(rectangles([[0, 2, 2, 4]], 4)).toEqual(["99.5 147 0.5", "246.5 73.5 1"]);
  expect(rectangles([[0, 0, 0, 0]], 4)).toEqual([]);
  expect(rectangles([[9, 9, 9, 9]], 4)).toEqual(["26 294 1"]);
});

import { expect, test } from "bun:test";
import { strftime } from "./strftime.ts";

/** Local time, as the function prints it, so that the test holds in every time zone. */
const MORNING = new Date(2026, 0, 5, 9, 7, 3, 45);
const EVENING = new Date(2026, 10, 26, 0, 30, 0);

test("dates and times are written as Python writes them in English", () => {
  expect(strftime(MORNING, "%d %b %Y")).toBe("05 Jan 2026");
  expect(strftime(MORNING, "%A, %B %e, %y")).toBe("Monday, January  5, 26");
  expect(strftime(MORNING, "%H:%M:%S.%f %I %p %a %j")).toBe("09:07:03.045000 09 AM Mon 005");
  expect(strftime(EVENING, "%F %T %I %p %j")).toBe("2026-11-26 00:30:00 12 AM 330");
});

test("a dash takes leading zeros and spaces away, and leaves one digit", () => {
  expect(strftime(MORNING, "%-d/%-m %-e %-I")).toBe("5/1 5 9");
  expect(strftime(EVENING, "%-H:%-M:%-S")).toBe("0:30:0");
});

test("a percent sign is written as two, and directives that are not known stay as they are", () => {
  expect(strftime(MORNING, "100%% %Q %-q 7%")).toBe("100% %Q %-q 7%");
});

test("the day of the year counts the 29th of February", () => {
  expect(strftime(new Date(2024, 11, 31), "%j")).toBe("366");
});

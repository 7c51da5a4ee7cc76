import { expect, test } from "bun:test";
import { join } from "node:path";
import { faultsPage, namedTests, recorded, seenOf } from "../../scripts/generate-faults.ts";
import { SECTIONS } from "../faults/rows.ts";

const MATRIX_ROWS = 176;
const rows = SECTIONS.flatMap((section) => section.rows);
const tests = namedTests();
const seen = recorded();
const testsOf = (row: number): typeof tests => tests.filter((named) => named.rows.includes(row));

test("the matrix is whole, each row once and in order", () => {
  expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: MATRIX_ROWS }, (_, index) => index + 1));
});

test("a row has an expectation, or the reason why there is none", () => {
  expect(rows.filter(({ expected, reason }) => (expected === undefined) === (reason === undefined))).toEqual([]);
});

test("a row that applies has tests that name it and an observation; one that does not has neither", () => {
  for (const { row, expected } of rows) {
    const applies = expected !== undefined;
    expect([row, testsOf(row).length > 0, seenOf(seen, row).length > 0]).toEqual([row, applies, applies]);
  }
});

test("a test that is known not to hold is a deviation of its row", () => {
  for (const { row, deviation } of rows) {
    if (testsOf(row).some(({ isFailing }) => isFailing)) expect([row, typeof deviation]).toEqual([row, "string"]);
  }
});

test("every test of the suite names a row", async () => {
  const root = join(import.meta.dir, "../faults");
  for await (const file of new Bun.Glob("*.test.ts").scan(root)) {
    const source = await Bun.file(join(root, file)).text();
    const unnamed = [
      ...source.matchAll(/\btest(?:\.\w+)?\(\s*["`](?!rows? \d|\$\{(?:name|row)\}|[^"`]*\brow)([^"`]+)/g),
    ];
    expect([file, unnamed.map(([, name]) => name)]).toEqual([file, []]);
  }
});

test("every file ends with a request to the process that met its faults", async () => {
  const root = join(import.meta.dir, "../faults");
  for await (const file of new Bun.Glob("*.test.ts").scan(root)) {
    const source = await Bun.file(join(root, file)).text();
    expect([file, /afterAll\(async \(\) => \{[^}]*expectSameProcessServes/.test(source)]).toEqual([file, true]);
  }
});

test("the page says what rows, tests and the recorded run say (bun run scripts/generate-faults.ts)", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/faults.md")).text();
  expect(page).toBe(faultsPage(tests, seen));
  for (const { name } of tests) expect(page).toContain(name.replaceAll("|", "\\|"));
});

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditEntry, AuditFile } from "./audit-log.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-audit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ENTRY: AuditEntry = {
  who: "ops",
  roles: ["admin"],
  from: "10.0.0.1",
  method: "POST",
  path: "/keys",
  status: 201,
  request_id: "r",
  subject: "team",
};
const failures: unknown[] = [];
const ignore = (): void => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: (fields: object) => void failures.push(fields) };

test("each change is a line with its time, in a file that only its owner may read, and a later start adds to it", () => {
  const path = join(folder, "a.jsonl");
  new AuditFile(path, 1e6, logger).write(ENTRY);
  new AuditFile(path, 1e6, logger).write({ ...ENTRY, status: 403, error: "forbidden" });
  const lines = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(lines).toEqual([
    { time: expect.stringMatching(/^20.*Z$/), ...ENTRY },
    { time: expect.stringMatching(/^20.*Z$/), ...ENTRY, status: 403, error: "forbidden" },
  ]);
  expect(statSync(path).mode & 0o077).toBe(0);
});

test("a full file takes the place of the one before it, so that two hold all", () => {
  const path = join(folder, "b.jsonl");
  const file = new AuditFile(path, 1000, logger);
  for (let count = 0; count < 20; count += 1) file.write({ ...ENTRY, request_id: `r${count}` });
  const sizes = [path, `${path}.1`].map((one) => statSync(one).size);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1000);
  expect(readFileSync(path, "utf8")).toContain('"r19"');
});

test("an entry behind one that could not be written whole has a line of its own", () => {
  const path = join(folder, "d", "a.jsonl");
  mkdirSync(join(folder, "d"));
  const file = new AuditFile(path, 1e6, logger);
  rmSync(join(folder, "d"), { recursive: true });
  file.write(ENTRY);
  failures.length = 0;
  mkdirSync(join(folder, "d"));
  // What a disk had room for.
  writeFileSync(path, '{"time":"20');
  file.write(ENTRY);
  file.write(ENTRY);
  const [cut, ...whole] = readFileSync(path, "utf8").trimEnd().split("\n");
  expect([cut, whole.length, whole.every((line) => "who" in Object(JSON.parse(line)))]).toEqual([
    '{"time":"20',
    2,
    true,
  ]);
});

test("an entry that cannot be written is in the log, whole", () => {
  const path = join(folder, "c.jsonl");
  const file = new AuditFile(path, 1e6, logger);
  rmSync(folder, { recursive: true, force: true });
  file.write(ENTRY);
  expect(failures).toEqual([expect.objectContaining({ who: "ops", subject: "team" })]);
});

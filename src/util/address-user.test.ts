import { expect, test } from "bun:test";
import { carriesUser, withoutUser } from "./address-user.ts";

test("a user or a password alone is one too", () => {
  for (const text of ["http://someone:hunter2@host", "http://someone@host", "http://:hunter2@host"])
    expect([carriesUser(text), carriesUser(new URL(text))]).toEqual([true, true]);
  expect(carriesUser("someone:hunter2@host:1")).toBe(true);
  for (const text of ["http://host/a@b", "host:1", "nowhere at all", ""]) expect(carriesUser(text)).toBe(false);
});

test("of a text for people nothing is left that stands before the host of an address, whatever the password has", () => {
  expect(withoutUser("no answer from http://someone:hunter2@host:1/a, nor from grpc://:hunter2@b")).toBe(
    "no answer from http://[redacted]@host:1/a, nor from grpc://[redacted]@b",
  );
  expect(withoutUser('not "http://someone:hun/te@r2@host"')).toBe('not "http://[redacted]@host"');
  expect(withoutUser("someone:hunter2@host:8000")).toBe("[redacted]@host:8000");
  expect(withoutUser("http://host:1/a b")).toBe("http://host:1/a b");
});

import { describe, expect, test } from "bun:test";
import { ENDPOINTS } from "../endpoints.ts";
import { KNOWN_NAMES, knownName } from "./known-names.ts";

/** The known name for a key of these characters, between the bytes around keys. */
function known(name: string): string | undefined {
  const bytes = Buffer.from(`{"${name}":1}`);
  return knownName(bytes, 2, bytes.length - 4);
}

describe("names of members", () => {
  test("are each found by their bytes, whatever stands around them", () => {
    for (const name of KNOWN_NAMES) expect(known(name)).toBe(name);
  });

  test("are not found for keys that only look like them", () => {
    for (const name of KNOWN_NAMES) {
      for (const other of [`${name}x`, name.slice(0, -1), name.toUpperCase(), `\\u00${name}`]) {
        expect([other, known(other)]).toEqual([other, KNOWN_NAMES.includes(other) ? other : undefined]);
      }
    }
    for (const other of ["", "constructor", "größe", "role"]) expect(known(other)).toBeUndefined();
  });

  test("are all those that an endpoint bounds or makes the prompt of", () => {
    const asked = ENDPOINTS.flatMap(({ bounds, promptMembers }) => [...bounds.keys(), ...promptMembers]);
    expect([...new Set(asked)].filter((name) => !KNOWN_NAMES.includes(name))).toEqual([]);
  });
});

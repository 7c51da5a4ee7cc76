import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fixed, keyNamed, ringOf } from "../../test/support/keys.ts";
import { GatewayError } from "../errors/errors.ts";
import { digestOf } from "./api-key.ts";
import { allocateKeyMemory, openKeyMemory } from "./key-memory.ts";
import type { KeyRecord } from "./key-record.ts";
import { KeyTable } from "./key-table.ts";
import { KeyTableWriter } from "./key-table-writer.ts";

function create(capacity = 64): { writer: KeyTableWriter; reader: KeyTable; at(time: number): KeyTable } {
  const buffer = allocateKeyMemory(capacity, 1);
  const open = (now: number): KeyTable => new KeyTable(openKeyMemory(buffer), () => now);
  return { writer: new KeyTableWriter(openKeyMemory(buffer), capacity), reader: open(0), at: open };
}

const nameOf = (found: ReturnType<KeyTable["find"]>): string | undefined =>
  typeof found === "object" ? found.principal.name : found;

describe("the table of keys", () => {
  test("says everything about a key that was put into it", () => {
    const { writer, reader } = create();
    const limits = { requestsPerMinute: 60, tokensPerMinute: 1e9, maxConcurrent: Number.POSITIVE_INFINITY };
    const said = { roles: ["client", "viewer"], models: ["llama-*", "qwen"], priority: "high", limits } as const;
    writer.put(keyNamed("Größe 1", said), { isLocalAdmin: true });
    const found = reader.find("Größe 1");
    expect(found).toMatchObject({ principal: { name: "Größe 1", row: 0, ...said }, isLocalAdmin: true });
    writer.put(keyNamed("plain"));
    expect(reader.find("plain")).toMatchObject({
      principal: { name: "plain", roles: ["client"], models: undefined, limits: undefined, priority: "normal" },
      isLocalAdmin: false,
    });
    expect(reader.find("another")).toBeUndefined();
  });

  test("knows a changed key as it is now, and one that was taken away no more", () => {
    const { writer, reader } = create();
    writer.put(keyNamed("a"));
    expect(reader.find("a")).toMatchObject({ principal: { models: undefined } });
    writer.put(keyNamed("a", { models: ["m"] }));
    expect(reader.find("a")).toMatchObject({ principal: { models: ["m"], row: 0 } });
    writer.remove("a");
    expect([reader.find("a"), writer.size]).toEqual([undefined, 0]);
  });

  test("takes the key of before a rotation for as long as it may be used, and none of the two beyond the end", () => {
    const { writer, at } = create();
    const [previousDigest, previousUntil, expiresAt] = [digestOf("old"), 50, 80];
    writer.put(keyNamed("a", { digest: digestOf("new"), previousDigest, previousUntil, expiresAt }));
    const states = [49, 50, 79, 80].map((time) => ["old", "new"].map((text) => nameOf(at(time).find(text))));
    expect(states).toEqual([
      ["a", "a"],
      ["expired", "a"],
      ["expired", "a"],
      ["expired", "expired"],
    ]);
    writer.remove("a");
    expect(["old", "new"].map((text) => at(0).find(text))).toEqual([undefined, undefined]);
  });

  test("refuses a key that does not fit, and has room again for another when one leaves", () => {
    const { writer, reader } = create(4);
    for (const name of ["a", "b", "c", "d"]) writer.put(keyNamed(name));
    expect(() => writer.put(keyNamed("e"))).toThrow(expect.any(GatewayError));
    writer.remove("b");
    writer.put(keyNamed("e"));
    expect(["a", "b", "c", "d", "e"].map((name) => nameOf(reader.find(name)))).toEqual(["a", undefined, "c", "d", "e"]);
  });

  test("tells apart keys that are kept in the same place", () => {
    const { writer, reader } = create(32_768);
    const names = Array.from({ length: 16_386 }, (_, index) => `team-${index}`);
    for (const name of names) writer.put(keyNamed(name, { models: [`${name}-*`] }));
    for (const name of ["team-0", "team-16384", "team-0", "team-1", "team-16385"]) {
      expect(reader.find(name)).toMatchObject({ principal: { name, models: [`${name}-*`] } });
    }
  });

  test("finds what a map of the same keys finds, whatever is put, changed, rotated and taken away", () => {
    const name = fc.integer({ min: 0, max: 40 });
    const step = fc.oneof(
      fc.record({ what: fc.constant("put"), name, version: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ what: fc.constant("remove"), name, version: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { writer, reader } = create();
        const model = new Map<string, KeyRecord>();
        const textOf = (id: string, version: number): string => `${id}/${version}`;
        for (const { what, name: number, version } of steps) {
          const id = `k${number}`;
          if (what === "remove") {
            writer.remove(id);
            model.delete(id);
            continue;
          }
          const previousDigest = version === 0 ? undefined : digestOf(textOf(id, version - 1));
          const record = keyNamed(id, { digest: digestOf(textOf(id, version)), previousDigest, previousUntil: 1 });
          writer.put(record);
          model.set(id, record);
        }
        expect(writer.size).toBe(model.size);
        for (let number = 0; number <= 40; number += 1) {
          for (let version = 0; version <= 3; version += 1) {
            const digest = Buffer.from(digestOf(textOf(`k${number}`, version)));
            const known = model.get(`k${number}`);
            const isKnown = known && [known.digest, known.previousDigest].some((one) => one && digest.equals(one));
            expect(nameOf(reader.find(textOf(`k${number}`, version)))).toBe(isKnown ? known.name : undefined);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("the keys of a changed configuration", () => {
  test("are in force in the place of those before, without a moment in which everybody may come", () => {
    const ring = ringOf(fixed([keyNamed("a"), keyNamed("b")]));
    const table = ring.table();
    ring.replace(fixed([keyNamed("b", { models: ["m"] }), keyNamed("c")], { localAdmin: "api_key" }));
    expect(["a", "b", "c"].map((name) => nameOf(table.find(name)))).toEqual([undefined, "b", "c"]);
    expect([table.isClosed, table.localAdmin]).toEqual([true, "api_key"]);
    ring.replace(fixed([], { localAdmin: "this_machine" }));
    expect([table.find("b"), table.isClosed, table.localAdmin]).toEqual([undefined, false, "this_machine"]);
  });

  test("are refused whole where they do not fit", () => {
    const ring = ringOf(fixed([keyNamed("a")]));
    const many = Array.from({ length: 1025 }, (_, index) => keyNamed(`k${index}`));
    expect(() => ring.replace(fixed(many))).toThrow("1024 keys at most");
    expect([nameOf(ring.table().find("a")), ring.table().find("k0")]).toEqual(["a", undefined]);
  });
});

import { describe, expect, test } from "bun:test";
import { failureOf } from "../../test/support/failure-of.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { TokenizerRegistry, type TokenizerSource } from "./tokenizer-registry.ts";

/** A registry whose loads end when the test ends them. */
function setUp() {
  const loads: {
    source: TokenizerSource;
    resolve: (tokenizer: Tokenizer) => void;
    reject: (error: unknown) => void;
  }[] = [];
  const load = (source: TokenizerSource): Promise<Tokenizer> => {
    const { promise, resolve, reject } = Promise.withResolvers<Tokenizer>();
    loads.push({ source, resolve, reject });
    return promise;
  };
  return { loads, registry: new TokenizerRegistry({ load }) };
}

function fake(vocabSize: number) {
  let disposals = 0;
  const tokenizer = {
    vocabSize,
    [Symbol.dispose]: () => {
      disposals += 1;
    },
  };
  return { tokenizer: tokenizer as unknown as Tokenizer, disposals: () => disposals };
}

describe("the registry of tokenizers", () => {
  test("loads a source once for all models that name it, and tells how far it is", async () => {
    const { loads, registry } = setUp();
    const { tokenizer } = fake(7);
    const first = registry.add("a", { path: "/x" });
    registry.add("b", { path: "/x" });
    registry.add("c", { path: "/x", chatTemplate: "other" });
    expect(loads).toHaveLength(2);
    expect(registry.get("a")).toBeUndefined();
    expect(first).toMatchObject({ name: "a", source: "/x", status: "processing" });
    const waiting = Promise.all([registry.whenLoaded("a"), registry.whenLoaded("a"), registry.whenLoaded("b")]);
    loads[0]?.resolve(tokenizer);
    expect(await waiting).toEqual([tokenizer, tokenizer, tokenizer]);
    expect(registry.get("b")).toBe(tokenizer);
    expect(registry.list().map(({ name, status, vocabSize }) => [name, status, vocabSize])).toEqual([
      ["a", "completed", 7],
      ["b", "completed", 7],
      ["c", "processing", undefined],
    ]);
    expect(registry.info(first.id)?.name).toBe("a");
    expect(await registry.whenLoaded("none")).toBeUndefined();
  });

  test("disposes of a tokenizer with the last model that has it", async () => {
    const { loads, registry } = setUp();
    const { tokenizer, disposals } = fake(7);
    const { id } = registry.add("a", { path: "/x" });
    registry.add("b", { path: "/x" });
    loads[0]?.resolve(tokenizer);
    await registry.whenLoaded("a");
    expect(registry.remove(id)).toBe(true);
    expect([registry.remove("a"), disposals()]).toEqual([false, 0]);
    registry[Symbol.dispose]();
    await Bun.sleep(0);
    expect([registry.list(), disposals()]).toEqual([[], 1]);
  });

  test("drops what was removed while it was loaded", async () => {
    const { loads, registry } = setUp();
    const { tokenizer, disposals } = fake(7);
    registry.add("a", { path: "/x" });
    registry.remove("a");
    registry.add("a", { path: "/x" });
    expect(loads).toHaveLength(2);
    loads[0]?.resolve(tokenizer);
    await Bun.sleep(0);
    expect([disposals(), registry.get("a")]).toEqual([1, undefined]);
  });

  test("tells what went wrong, and takes the name again", async () => {
    const { loads, registry } = setUp();
    registry.add("a", { files: new Map(), key: "sha" });
    loads[0]?.reject(new GatewayError("invalid_request", "there is no tokenizer.json"));
    expect(await failureOf(registry.whenLoaded("a"))).toHaveProperty(
      "message",
      expect.stringContaining("no tokenizer.json"),
    );
    expect(registry.info("a")).toMatchObject({ status: "failed", error: "there is no tokenizer.json", source: "sha" });
    registry.add("a", { path: "/x" });
    expect(registry.info("a")?.status).toBe("processing");
    expect(() => registry.add("a", { path: "/x" })).toThrow(expect.objectContaining({ status: 409 }));
  });
});

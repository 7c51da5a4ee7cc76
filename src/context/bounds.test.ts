import { expect, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { configSchema } from "../config/schema.ts";
import { bound, ms } from "./bounds.ts";

test("seconds become milliseconds, and no bound stays none", () => {
  expect([ms(1.5), ms(0), ms(bound(0)), ms(bound(2))]).toEqual([1500, 0, Number.POSITIVE_INFINITY, 2000]);
});

test("options in seconds are read where settings are made of them, and nowhere else", async () => {
  const root = join(import.meta.dir, "..");
  const options = Object.keys(configSchema.shape).filter((key) => /Secs$|^workerStartupCheckInterval$/.test(key));
  expect(options.length).toBeGreaterThan(15);
  const readers = new Set<string>();
  for await (const file of new Glob("**/*.ts").scan(root)) {
    // A policy reads its own options, which are no waits.
    if (/^(config|policy)\//.test(file) || file.endsWith(".test.ts")) continue;
    const text = (await Bun.file(join(root, file)).text()).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    for (const option of options) {
      // Writing one (`option: 2`) is no reading.
      if (new RegExp(`\\b${option}\\b(?!:)`).test(text)) readers.add(file);
    }
  }
  // The list of the options that change at run time has their names.
  readers.delete("context/live-keys.ts");
  expect([...readers].sort()).toEqual(["context/server-settings.ts", "context/settings.ts"]);
});

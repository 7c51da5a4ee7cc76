import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { SHARED_BOUNDS, sharesOf } from "./shares.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const config = { ...defaults, maxConnectionsPerWorker: 10, maxRequestBytesInFlight: 900 };

describe("what one serving unit may have", () => {
  test("is all of it where there is one", () => {
    const { bytesInFlight, connectionsPerWorker, retriesPerSec } = sharesOf(config, 1);
    expect([bytesInFlight, connectionsPerWorker, retriesPerSec]).toEqual([900, 10, 10]);
  });

  test("is an equal part where there are several, and never no connection at all", () => {
    const { bytesInFlight, connectionsPerWorker, retriesPerSec } = sharesOf(config, 4);
    expect([bytesInFlight, connectionsPerWorker, retriesPerSec]).toEqual([225, 3, 2.5]);
    expect(sharesOf({ ...config, maxConnectionsPerWorker: 1 }, 8).connectionsPerWorker).toBe(1);
  });

  test("an eighth of the connections that clients may have is an eighth of what one unit could", () => {
    expect(sharesOf(config, 8).clientConnections()).toBe(sharesOf(config, 1).clientConnections() / 8);
  });

  test("without a bound there is none for a part either", () => {
    expect(sharesOf({ ...config, maxConnectionsPerWorker: 0 }, 4).connectionsPerWorker).toBe(Number.POSITIVE_INFINITY);
  });
});

test("no bound is divided by the number of threads anywhere else", async () => {
  const root = join(import.meta.dir, "..");
  const dividing: string[] = [];
  for await (const file of new Glob("**/*.ts").scan(root)) {
    if (file.endsWith(".test.ts") || file === "context/shares.ts") continue;
    const text = (await Bun.file(join(root, file)).text()).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    if (/\/ (?:\w+\.)?(?:threads|units)\b/.test(text)) dividing.push(file);
  }
  expect(dividing).toEqual([]);
});

test("the page on architecture names each bound that is divided", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/architecture.md")).text();
  const shares = page.split("\n").find((line) => line.startsWith("- **Shares.**")) ?? "";
  for (const words of Object.values(SHARED_BOUNDS)) expect(shares.toLowerCase()).toContain(words);
});

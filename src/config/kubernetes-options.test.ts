import { expect, test } from "bun:test";
import { checkConfig } from "./check-config.ts";
import { configSchema } from "./schema.ts";

function complaints(options: object): unknown[] {
  return checkConfig(configSchema.parse(options)).map(({ path, text }) => [path.join("."), text]);
}

test("pods are chosen by selectors or by a pool, and looked for only where that is wanted", () => {
  const on = { serviceDiscovery: true };
  expect(complaints({ ...on, selector: ["app=vllm"] })).toEqual([]);
  expect(complaints({ ...on, inferencePool: "models/pool" })).toEqual([]);
  expect(complaints(on)).toEqual([["selector", expect.stringContaining("needs a selector of pods")]]);
  expect(complaints({ inferencePool: "pool" })).toEqual([["selector", expect.stringContaining("--service-discovery")]]);
  for (const selectors of [{ selector: ["app=vllm"] }, { decodeSelector: ["role=decode"] }]) {
    expect(complaints({ ...on, inferencePool: "pool", ...selectors })).toEqual([
      ["inferencePool", expect.stringContaining("leave out the selectors")],
    ]);
  }
});

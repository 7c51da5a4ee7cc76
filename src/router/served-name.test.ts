import { expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { servedName } from "./served-name.ts";

function fleetOf(...workers: readonly [model: string, engine: string, url?: string][]): FleetSetup {
  const fleet = setUpFleet();
  for (const [index, [modelId, engine, url]] of workers.entries()) {
    const worker = fleet.add(url ?? `http://w${index}:1`, { modelId });
    fleet.registry.update(worker.id, { info: { ...worker.info, models: [modelId], engine } });
  }
  return fleet;
}

const names = ({ registry }: FleetSetup, ...asked: readonly string[]): (string | undefined)[] =>
  asked.map((name) => servedName(name, registry));

test("a name that is served stays, whatever it looks like, and so does no name", () => {
  const fleet = fleetOf(["llama3:8b", "sglang"], ["default", "sglang"]);
  expect(names(fleet, "llama3:8b", "default", "other")).toEqual(["llama3:8b", "default", "other"]);
  expect(servedName(undefined, fleet.registry)).toBeUndefined();
});

test("default is the one model that SGLang serves, and an adapter is found by its base", () => {
  const fleet = fleetOf(["qwen", "sglang"], ["qwen", "sglang"]);
  expect(names(fleet, "default", "qwen:sql", "qwen:a:b", ":sql", "other:sql")).toEqual([
    "qwen",
    "qwen",
    "qwen:a:b",
    ":sql",
    "other:sql",
  ]);
});

test("with several models default is a name like any other", () => {
  expect(names(fleetOf(["a", "sglang"], ["b", "sglang"]), "default", "a:sql")).toEqual(["default", "a"]);
});

test("another engine, or one over gRPC, would not know the spelling or not say that it ignores it", () => {
  expect(names(fleetOf(["qwen", "vllm"]), "default", "qwen:sql")).toEqual(["default", "qwen:sql"]);
  expect(names(fleetOf(["qwen", "sglang"], ["qwen", "vllm"]), "qwen:sql")).toEqual(["qwen:sql"]);
  const grpc = fleetOf(["qwen", "sglang", "grpc://w:1"]);
  expect(names(grpc, "default", "qwen:sql")).toEqual(["qwen", "qwen:sql"]);
});

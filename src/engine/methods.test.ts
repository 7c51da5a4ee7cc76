import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HEALTH } from "../../test/engines/grpc/health-service.ts";
import { SGLANG } from "./sglang/methods.ts";
import { TRTLLM } from "./trtllm/methods.ts";
import { VLLM } from "./vllm/methods.ts";

/** The methods that a .proto file has. */
function methodsOf(file: string): string[] {
  const text = readFileSync(join(import.meta.dir, "../../proto", file), "utf8");
  const name = `${/^package (.+);/m.exec(text)?.[1]}.${/^service (\w+)/m.exec(text)?.[1]}`;
  return [...text.matchAll(/^ {2}rpc (\w+)/gm)].map((match) => `/${name}/${match[1]}`);
}

test.each([
  ["engine/sglang.proto", SGLANG],
  ["engine/vllm.proto", VLLM],
  ["engine/trtllm.proto", TRTLLM],
  ["health/health.proto", HEALTH],
])("the methods are those of %s", (file, methods) => {
  expect(methodsOf(file).sort()).toEqual(Object.values(methods).sort());
});

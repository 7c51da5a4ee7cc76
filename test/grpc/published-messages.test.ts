import { expect, test } from "bun:test";
import { join } from "node:path";
import * as common from "../../src/transport/grpc/generated/engine/common.ts";
import * as sglang from "../../src/transport/grpc/generated/engine/sglang.ts";
import * as trtllm from "../../src/transport/grpc/generated/engine/trtllm.ts";
import * as vllm from "../../src/transport/grpc/generated/engine/vllm.ts";

interface Codec {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
}

const FILES: Readonly<Record<string, object>> = { common, sglang, trtllm, vllm };
const PYTHON = process.env["POINTSMAN_PYTHON_GRPC"];
const SCRIPT = join(import.meta.dir, "published_messages.py");
/** Messages without a method that uses them, and those behind fields that no gateway fills. */
const LEFT_OUT =
  /^sglang\.(UpdateWeights|GetInternalState|SetInternalState)|^trtllm\.(KvCacheRetentionConfig|LookaheadConfig|PromptTuningConfig)/;
/** It has the fields that are left out: they are dropped on the way. */
const PARTIAL = "trtllm.GenerateRequest";

const missing = reasonToSkip();
if (missing !== undefined) console.warn(`skipped: published messages: ${missing}`);

test.skipIf(missing !== undefined)("every message of the published package passes our codecs unchanged", () => {
  const lines = python("make")
    .split("\n")
    .filter((line) => line !== "");
  const back: string[] = [];
  for (const line of lines) {
    const [file = "", name = "", base64 = ""] = JSON.parse(line) as string[];
    if (LEFT_OUT.test(`${file}.${name}`)) continue;
    const codec = (FILES[file] as Readonly<Record<string, Codec>>)[name];
    if (!codec) throw new Error(`no codec for ${file}.${name}`);
    const bytes = codec.encode(codec.decode(Buffer.from(base64, "base64"))).finish();
    back.push(JSON.stringify([file, name, base64, Buffer.from(bytes).toString("base64")]));
  }
  expect(back.length).toBeGreaterThan(500);
  const differing = python("compare", back.join("\n"))
    .split("\n")
    .filter((line) => line !== "");
  expect([...new Set(differing)]).toEqual([PARTIAL]);
});

function python(verb: string, input = ""): string {
  const run = Bun.spawnSync([PYTHON ?? "", SCRIPT, verb], { stdin: Buffer.from(input), stderr: "inherit" });
  expect(run.exitCode).toBe(0);
  return run.stdout.toString();
}

function reasonToSkip(): string | undefined {
  if (PYTHON === undefined) return "POINTSMAN_PYTHON_GRPC names no Python that has smg-grpc-proto";
  const run = Bun.spawnSync([PYTHON, "-c", "import smg_grpc_proto"], { stderr: "ignore" });
  return run.exitCode === 0 ? undefined : "that Python has no smg-grpc-proto";
}

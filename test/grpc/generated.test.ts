import { expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "../..");
const GENERATED = join(ROOT, "src/transport/grpc/generated");

test("the codecs are those of the .proto files", async () => {
  const out = mkdtempSync(join(tmpdir(), "pointsman-proto-"));
  const template = (await Bun.file(join(ROOT, "proto/buf.gen.yaml")).text()).replace(/out: .*/, `out: ${out}`);
  await Bun.write(join(out, "buf.gen.yaml"), template.replace("clean: true\n", ""));
  const run = Bun.spawnSync(
    [process.execPath, join(ROOT, "scripts/generate-proto.ts"), "--template", join(out, "buf.gen.yaml")],
    { stderr: "inherit" },
  );
  expect(run.exitCode).toBe(0);
  const names = [...new Glob("**/*.ts").scanSync(GENERATED)].sort();
  expect([...new Glob("**/*.ts").scanSync(out)].sort()).toEqual(names);
  for (const name of names) {
    expect(await Bun.file(join(out, name)).text()).toBe(await Bun.file(join(GENERATED, name)).text());
  }
});

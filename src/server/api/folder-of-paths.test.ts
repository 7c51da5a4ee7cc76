import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GatewayError } from "../../errors/errors.ts";
import { FolderOfPaths } from "./folder-of-paths.ts";

const base = realpathSync(mkdtempSync(join(tmpdir(), "pointsman-folder-")));
const folder = join(base, "models");
mkdirSync(join(folder, "llama"), { recursive: true });
writeFileSync(join(folder, "llama/template.jinja"), "{{ messages }}");
writeFileSync(join(base, "secret"), "canary");
mkdirSync(`${folder}-other`);
symlinkSync(base, join(folder, "out"));
symlinkSync(join(folder, "llama"), join(folder, "again"));
const paths = new FolderOfPaths(folder);

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => "taken",
    (thrown: unknown) => thrown,
  );
  return error instanceof GatewayError ? `${error.details.param}: ${error.message}` : String(error);
}

test("paths below the folder are taken, whole or from the folder, through links as well", async () => {
  for (const path of ["llama", join(folder, "llama"), "again", "./llama/../llama"]) {
    expect([path, await paths.resolve(path, "source")]).toEqual([path, join(folder, "llama")]);
  }
  expect(await paths.resolve("", "source")).toBe(folder);
  expect(await paths.resolve("not-there-yet", "source")).toBe(join(folder, "not-there-yet"));
  expect(await paths.text("llama/template.jinja", "chat_template_path")).toBe("{{ messages }}");
});

test("others are refused in the same words, whether they exist or not", async () => {
  const outside = ["/etc/passwd", "/nowhere", "..", "../secret", "out/secret", `${folder}-other`, "/dev/zero", base];
  for (const path of outside) {
    expect([path, await refusal(paths.text(path, "source"))]).toEqual([
      path,
      "source: the path must be below `tokenizer_folder`",
    ]);
  }
});

test("without a folder no path is taken, and the option is named", async () => {
  expect(await refusal(new FolderOfPaths(undefined).resolve("x", "source"))).toContain("set `tokenizer_folder`");
});

test("what is no file, or is too long, is no text", async () => {
  expect(await refusal(paths.text("llama", "t"))).toBe("t: that is no file");
  expect(await refusal(paths.text("none", "t"))).toBe("t: the file cannot be read");
  writeFileSync(join(folder, "long"), Buffer.alloc(1024 * 1024 + 1, 32));
  expect(await refusal(paths.text("long", "t"))).toContain("longer than");
});

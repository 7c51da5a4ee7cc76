import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startProgram } from "../support/process.ts";

const ROOT = join(import.meta.dir, "../..");
/** The project of a user who has installed the package. */
const project = mkdtempSync(join(tmpdir(), "pointsman-package-"));
const installed = join(project, "node_modules/pointsman");

async function run(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${out}${err}`);
  return out;
}

/** Every package that the installation of a user has: none of those for development. */
function installedPackages(): string[] {
  const lock: unknown = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const { packages } = lock as { packages: Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }> };
  return Object.keys(packages)
    .filter((path) => path.startsWith("node_modules/") && packages[path]?.dev !== true)
    .map((path) => path.slice("node_modules/".length));
}

beforeAll(async () => {
  const archive = (await run(["npm", "pack", "--silent", "--pack-destination", project], ROOT))
    .trim()
    .split("\n")
    .at(-1);
  await run(["tar", "-xzf", archive ?? ""], project);
  mkdirSync(dirname(installed), { recursive: true });
  await run(["mv", "package", installed], project);
  for (const name of installedPackages()) {
    const link = join(project, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), link);
  }
  // In a checkout the install script of `bun`, a package for development, has moved the runtime out of its package.
  mkdirSync(join(project, "node_modules/.bin"));
  symlinkSync(process.execPath, join(project, "node_modules/.bin/bun"));
}, 60_000);
afterAll(() => rmSync(project, { recursive: true }));

test("it has the sources, the types, the pages and the licence, and no tests", () => {
  const files = readdirSync(installed, { recursive: true }).map(String);
  for (const path of ["src/main.ts", "bin/pointsman", "config.schema.json", "docs/config.md", "LICENSE", "README.md"]) {
    expect(files).toContain(path);
  }
  expect(files.filter((path) => path.endsWith(".test.ts") || path.startsWith("test"))).toEqual([]);
});

test("each page in it leads only to files that are in it too", () => {
  const pages = readdirSync(installed, { recursive: true }).map(String);
  const links = pages
    .filter((path) => path.endsWith(".md") && !path.startsWith("src"))
    .flatMap((page) =>
      Array.from(readFileSync(join(installed, page), "utf8").matchAll(/\]\(([^)#\s]+)/g), ([, link = ""]) => [
        page,
        link,
      ]),
    )
    .filter(([, link = ""]) => !/^[a-z]+:/.test(link));
  expect(links.length).toBeGreaterThan(50);
  expect(links.filter(([page = "", link = ""]) => !existsSync(join(installed, dirname(page), link)))).toEqual([]);
});

test("what it needs is installed without running a script of any package", () => {
  const lock: unknown = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const { packages } = lock as { packages: Record<string, { readonly hasInstallScript?: boolean }> };
  const scripted = installedPackages().filter((name) => packages[`node_modules/${name}`]?.hasInstallScript === true);
  expect(scripted).toEqual([]);
});

test("it runs on the runtime that is installed with it", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  const program = [join(installed, "bin/pointsman")];
  await using gateway = await startProgram(program, ["--worker-urls", engine.url], { PATH: "/usr/bin:/bin" });
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
});

test("the author of a policy gets its types, in both ways of finding modules", async () => {
  writeFileSync(
    join(project, "mine.ts"),
    `import type { PolicyModule, Policy } from "pointsman/policy";
const create = (): Policy => ({ name: "mine", pick: (candidates, { promptTokens }) => promptTokens % candidates.length });
export default { name: "mine", create } satisfies PolicyModule;
`,
  );
  const compiler = join(ROOT, "node_modules/.bin/tsc");
  for (const kind of [
    ["--module", "nodenext", "--moduleResolution", "nodenext"],
    ["--module", "esnext", "--moduleResolution", "bundler"],
  ]) {
    await run([compiler, "--noEmit", "--strict", ...kind, "mine.ts"], project);
  }
  writeFileSync(
    join(project, "wrong.ts"),
    (await Bun.file(join(project, "mine.ts")).text()).replace("promptTokens", "x"),
  );
  expect(
    run([compiler, "--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "wrong.ts"], project),
  ).rejects.toThrow("'x'");
}, 60_000);

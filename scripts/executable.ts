/**
 * Makes one executable of the gateway and its runtime: `bun scripts/executable.ts [PLATFORM...] [--out DIR]`, into `dist/` if not told
 * otherwise. Without a platform, the one it runs on. The runtime of another platform is fetched by npm, and must be the one of the lock file.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { THREAD_MODULES } from "../src/util/thread-url.ts";

const ROOT = join(import.meta.dir, "..");

interface Platform {
  readonly target: Bun.Build.CompileTarget;
  readonly runtime: string;
}

/** npm's package of Bun for each platform. */
const PLATFORMS: Readonly<Record<string, Platform>> = {
  "linux-x64": { target: "bun-linux-x64", runtime: "@oven/bun-linux-x64" },
  "linux-arm64": { target: "bun-linux-arm64", runtime: "@oven/bun-linux-aarch64" },
  "darwin-x64": { target: "bun-darwin-x64", runtime: "@oven/bun-darwin-x64" },
  "darwin-arm64": { target: "bun-darwin-arm64", runtime: "@oven/bun-darwin-aarch64" },
};

function ownPlatform(): string {
  return `${process.platform}-${process.arch}`;
}

async function run(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdout: "pipe", stderr: "inherit" });
  const out = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed`);
  return out;
}

const LOCK = z.object({
  packages: z.record(z.string(), z.object({ version: z.string(), integrity: z.string() }).partial()),
});

/** What the lock file says of a package: its version, and the digest of its archive. */
function locked(name: string): { readonly version: string; readonly integrity: string } {
  const { packages } = LOCK.parse(JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")));
  const { version, integrity } = packages[`node_modules/${name}`] ?? {};
  if (version === undefined || integrity === undefined) throw new Error(`package-lock.json does not name ${name}`);
  return { version, integrity };
}

/** The runtime of a platform, in `folder`; undefined for the one that runs. */
async function runtimeOf(platform: string, { runtime }: Platform, folder: string): Promise<string | undefined> {
  if (platform === ownPlatform()) return undefined;
  const { version, integrity } = locked(runtime);
  const archive = (await run(["npm", "pack", "--silent", `${runtime}@${version}`], folder)).trim();
  const digest = new Bun.CryptoHasher("sha512").update(readFileSync(join(folder, archive))).digest("base64");
  if (`sha512-${digest}` !== integrity) throw new Error(`${archive} is not the archive of package-lock.json`);
  await run(["tar", "-xzf", archive], folder);
  return join(folder, "package", "bin", "bun");
}

async function build(platform: string, out: string): Promise<void> {
  const known = PLATFORMS[platform];
  if (!known) throw new Error(`${platform}: one of ${Object.keys(PLATFORMS).join(", ")}`);
  const outfile = join(out, `pointsman-${platform}`);
  const folder = mkdtempSync(join(tmpdir(), "pointsman-runtime-"));
  try {
    const executablePath = await runtimeOf(platform, known, folder);
    const result = await Bun.build({
      entrypoints: ["executable.ts", ...THREAD_MODULES].map((path) => join(ROOT, "src", path)),
      root: join(ROOT, "src"),
      // Stack traces in logs and reports keep the names of the source.
      minify: { syntax: true, whitespace: true, identifiers: false },
      compile: {
        target: known.target,
        outfile,
        autoloadDotenv: false,
        autoloadBunfig: false,
        ...(executablePath === undefined ? {} : { executablePath }),
      },
    });
    if (!result.success) throw new Error(result.logs.map(String).join("\n"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (!existsSync(outfile)) throw new Error(`${outfile} was not written`);
  console.log(`${outfile}, ${(Bun.file(outfile).size / 1e6).toFixed(0)} MB`);
}

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { out: { type: "string", default: join(ROOT, "dist") } },
});
mkdirSync(values.out, { recursive: true });
for (const platform of positionals.length > 0 ? positionals : [ownPlatform()]) await build(platform, values.out);

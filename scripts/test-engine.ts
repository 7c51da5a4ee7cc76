/** Runs the tests that want real engines, or says why it does not. `npm run test:engine [-- NAME...]`; see test/engine/engines.ts. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const scripts = process.env["POINTSMAN_ENGINE_SCRIPTS"];
const lab = process.env["POINTSMAN_ENGINES"];

function whySkipped(): string | undefined {
  if (scripts === undefined || lab === undefined) {
    return "POINTSMAN_ENGINE_SCRIPTS and POINTSMAN_ENGINES do not say where the engines are";
  }
  if (!existsSync(join(scripts, "zvllm.sh"))) return `there is no zvllm.sh in ${scripts}`;
  return existsSync(join(lab, "venv-vllm")) ? undefined : `no engine is installed in ${lab}`;
}

const reason = whySkipped();
if (reason !== undefined) {
  console.log(`skipped: ${reason}`);
  process.exit(0);
}
const root = join(import.meta.dir, "..");
const given = process.argv.slice(2);
const files = (given.length > 0 ? given : ["vllm", "continuation", "pd", "grpc", "prompts", "kv-events"]).map(
  (name) => `./test/engine/${name}.ts`,
);
const runner = Bun.spawn([process.execPath, "test", "--timeout", "60000", "--max-concurrency=1", ...files], {
  cwd: root,
  stdout: "inherit",
  stderr: "inherit",
  env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" },
});
process.exit(await runner.exited);

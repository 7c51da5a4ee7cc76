/** Makes the codecs of proto/ in src/transport/grpc/generated/, by buf and ts-proto: `npm run generate:proto`. */
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const bin = join(root, "node_modules/.bin");
const run = Bun.spawn([join(bin, "buf"), "generate", ...process.argv.slice(2)], {
  cwd: join(root, "proto"),
  // buf looks for its plug-in there.
  env: { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` },
  stdout: "inherit",
  stderr: "inherit",
});
process.exit(await run.exited);

import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Program, startProgram } from "./processes.ts";

/** A gateway under test. */
export interface Target {
  readonly name: string;
  readonly origin: string;
  readonly program: Program;
}

const root = join(import.meta.dir, "../..");
const peers = process.env["POINTSMAN_PEERS"] ?? join(root, ".bench/peers");
const scratch = mkdtempSync(join(tmpdir(), "pointsman-bench-"));

/** How to start each gateway on a port before the workers; undefined where it is not installed. */
type Start = (port: number, workers: readonly string[], policy: string) => readonly string[] | undefined;

const STARTS: Record<string, Start> = {
  pointsman: (port, workers, policy) => [
    join(root, "bin/pointsman"),
    ...["--host", "127.0.0.1", "--port", String(port), "--prometheus-port", "0", "--policy", policy],
    ...["--worker-urls", ...workers],
  ],
  nginx: (port, workers) => {
    const nginx = Bun.which("nginx", { PATH: `${process.env["PATH"]}:/usr/sbin` });
    return nginx ? [nginx, "-c", nginxConfig(port, workers), "-g", "daemon off;"] : undefined;
  },
  "vllm-router": (port, workers, policy) => peer("vllm-router", "vllm-router", port, workers, policy, []),
  "sglang-router": (port, workers, policy) => peer("sglang-router", "smg", port, workers, policy, ["launch"]),
  smg: (port, workers, policy) => peer("smg", "smg", port, workers, policy, ["launch"]),
};

function peer(
  dir: string,
  command: string,
  port: number,
  workers: readonly string[],
  policy: string,
  before: readonly string[],
): readonly string[] | undefined {
  const path = join(peers, dir, "bin", command);
  if (!existsSync(path)) return undefined;
  return [
    path,
    ...before,
    ...["--host", "127.0.0.1", "--port", String(port), "--prometheus-port", String(port + 1000), "--policy", policy],
    ...["--worker-urls", ...workers],
  ];
}

function nginxConfig(port: number, workers: readonly string[]): string {
  const path = join(scratch, `nginx-${port}.conf`);
  const servers = workers.map((url) => `server ${url.replace("http://", "")};`).join(" ");
  writeFileSync(
    path,
    `worker_processes 1; pid ${path}.pid; error_log ${path}.log;
events { worker_connections 16384; }
http {
  access_log ${path}.access.log;
  client_body_temp_path ${scratch}/body; proxy_temp_path ${scratch}/proxy; fastcgi_temp_path ${scratch}/fastcgi;
  uwsgi_temp_path ${scratch}/uwsgi; scgi_temp_path ${scratch}/scgi;
  client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000;
  upstream engines { ${servers} keepalive 256; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }
  }
}
`,
  );
  return path;
}

/** Starts the named gateways that are installed, and waits until each answers a real request. */
export async function startTargets(
  names: readonly string[],
  workers: readonly string[],
  policy: string,
): Promise<Target[]> {
  const targets: Target[] = [];
  let port = 18_100;
  for (const name of names) {
    port += 1;
    const command = STARTS[name]?.(port, workers, policy);
    if (!command) {
      console.error(`${name}: not installed, left out`);
      continue;
    }
    const program = startProgram(command, join(scratch, `${name}.log`));
    const origin = `http://127.0.0.1:${port}`;
    if (await answers(origin)) targets.push({ name, origin, program });
    else {
      console.error(`${name}: did not come up, left out; its output is in ${scratch}/${name}.log`);
      await program.stop();
    }
  }
  return targets;
}

async function answers(origin: string): Promise<boolean> {
  const body = JSON.stringify({ model: "bench", messages: [{ role: "user", content: "hello" }] });
  const headers = { "content-type": "application/json" };
  for (let tries = 0; tries < 150; tries += 1) {
    try {
      const response = await fetch(`${origin}/v1/chat/completions`, { method: "POST", headers, body });
      if (response.status === 200) return true;
    } catch {
      // Not listening yet.
    }
    await Bun.sleep(200);
  }
  return false;
}

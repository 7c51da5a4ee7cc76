import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Program, startProgram } from "./processes.ts";

/** A gateway under test. */
export interface Target {
  /** Its row in the tables. */
  readonly name: string;
  readonly origin: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly policy: string;
  readonly workers: readonly string[];
  /** For pointsman alone. */
  readonly flags?: readonly string[];
  /** For gateways of Python wheels alone. */
  readonly peerFlags?: readonly string[];
  /** Files of the certificate and key with which clients are spoken to; for pointsman and nginx alone. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string };
  /** Row in the tables where it is not the name. */
  readonly row?: string;
}

interface Place {
  readonly port: number;
  /** For its metrics, where it wants one. */
  readonly otherPort: number;
  readonly logs: string;
}

/** The command of each gateway; undefined where it is not installed. */
type Command = (place: Place, options: StartOptions) => readonly string[] | undefined;

const root = join(import.meta.dir, "../..");
const peers = process.env["POINTSMAN_PEERS"] ?? join(root, ".bench/peers");

const COMMANDS: Readonly<Record<string, Command>> = {
  pointsman: ({ port }, { policy, workers, flags = [], tls }) => [
    join(root, "bin/pointsman"),
    ...["--host", "127.0.0.1", "--port", String(port), "--prometheus-port", "0", "--policy", policy],
    ...flags,
    ...(tls ? ["--tls-cert-path", tls.certPath, "--tls-key-path", tls.keyPath] : []),
    ...["--worker-urls", ...workers],
  ],
  nginx: (place, { workers, tls }) => {
    const nginx = Bun.which("nginx", { PATH: `${process.env["PATH"]}:/usr/sbin` });
    return nginx ? [nginx, "-c", nginxConfig(place, workers, tls), "-g", "daemon off;"] : undefined;
  },
  "vllm-router": peer("vllm-router", ["vllm-router"]),
  // It brings a command of the same name as smg's.
  "sglang-router": peer("sglang-router", ["smg", "launch"]),
  smg: peer("smg", ["smg", "launch"]),
};

function peer(dir: string, [command = "", ...words]: readonly string[]): Command {
  return ({ port, otherPort }, { policy, workers, peerFlags = [] }) => {
    const path = join(peers, dir, "bin", command);
    if (!existsSync(path)) return undefined;
    return [
      path,
      ...words,
      ...["--host", "127.0.0.1", "--port", String(port), "--prometheus-port", String(otherPort), "--policy", policy],
      ...peerFlags,
      ...["--worker-urls", ...workers],
    ];
  };
}

function nginxConfig({ port, logs }: Place, workers: readonly string[], tls: StartOptions["tls"]): string {
  // As pointsman does it: no cache of sessions, but tickets.
  const secure =
    tls && `ssl_certificate ${tls.certPath}; ssl_certificate_key ${tls.keyPath}; ssl_protocols TLSv1.2 TLSv1.3;`;
  const path = join(logs, `nginx-${port}.conf`);
  const servers = workers.map((url) => `server ${url.replace("http://", "")};`).join(" ");
  writeFileSync(
    path,
    `worker_processes 1; pid ${path}.pid; error_log ${path}.log;
events { worker_connections 16384; }
http {
  access_log ${path}.access.log;
  client_body_temp_path ${logs}/body; proxy_temp_path ${logs}/proxy; fastcgi_temp_path ${logs}/fastcgi;
  uwsgi_temp_path ${logs}/uwsgi; scgi_temp_path ${logs}/scgi;
  client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000;
  upstream engines { ${servers} keepalive 256; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port}${secure ? " ssl" : ""}; ${secure ?? ""}
    location / {
      proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }
  }
}
`,
  );
  return path;
}

/** Below those that the system gives to connections, so that nobody takes one while its owner is away. */
const PORTS = { from: 20_000, count: 12_000 };

/** A port that nobody has now. */
export function freePort(): number {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * PORTS.count);
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data: () => undefined } }).stop(true);
      return port;
    } catch {
      // Somebody has it.
    }
  }
}

/** Starts a gateway and waits until it answers a real request; undefined where it is not installed or does not come up. */
export async function startTarget(name: string, options: StartOptions, logs: string): Promise<Target | undefined> {
  const place = { port: freePort(), otherPort: freePort(), logs };
  const command = COMMANDS[name]?.(place, options);
  const row = options.row ?? name;
  if (!command) {
    console.error(`  ${name}: not installed, left out`);
    return undefined;
  }
  const log = join(logs, `${row}-${place.port}.log`);
  const program = startProgram(command, log);
  const origin = `${options.tls ? "https" : "http"}://127.0.0.1:${place.port}`;
  if (await answers(origin, program)) return { name: row, origin, pid: program.pid, stop: () => program.stop() };
  console.error(`  ${name}: did not come up, left out; what it said is in ${log}`);
  await program.stop();
  return undefined;
}

async function answers(origin: string, program: Program): Promise<boolean> {
  const body = JSON.stringify({ model: "bench", messages: [{ role: "user", content: "hello" }] });
  const headers = { "content-type": "application/json", authorization: "Bearer client-key" };
  const exited = program.exited.then(() => true);
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      const response = await fetch(`${origin}/v1/chat/completions`, {
        method: "POST",
        headers,
        body,
        tls: { rejectUnauthorized: false },
      });
      if (response.status === 200) return true;
    } catch {
      // Not listening yet.
    }
    if (await Promise.race([exited, Bun.sleep(100)])) return false;
  }
  return false;
}

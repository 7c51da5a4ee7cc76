import { existsSync } from "node:fs";
import { join } from "node:path";

/**
 * Real vLLM engines on CPU. `POINTSMAN_ENGINE_SCRIPTS` is a folder with `run-zygote.sh` (a parent process with everything
 * imported), `zvllm.sh PORT [flags]` (an engine forked from it; prints its pid), `zvllm-grpc.sh PORT`, `zvllm-pd.sh NAME PORT
 * SIDE_PORT [flags]` (half of a prefill/decode pair) and `kill-engine.sh PIDFILE [SIGNAL]`; `POINTSMAN_ENGINES` is where
 * engines and pid files are. The model is a small one with a chat template, tools and 4,096 tokens of context. Run by
 * `npm run test:engine`.
 */
const scripts = process.env["POINTSMAN_ENGINE_SCRIPTS"] ?? "";
const lab = process.env["POINTSMAN_ENGINES"] ?? "";

/** As the engines call it. */
export const MODEL = "tiny";

export function origin(port: number): string {
  return `http://127.0.0.1:${port}`;
}

async function script(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const child = Bun.spawn(["bash", join(scripts, name), ...args], {
    stdout: "ignore",
    stderr: "inherit",
    env: { ...process.env, ...env },
  });
  await child.exited;
}

let zygote: Bun.Subprocess | undefined;

/** The parent that engines are forked from; one that runs already is used, and left. */
export async function startZygote(): Promise<void> {
  if (await isZygoteUp()) return;
  zygote = Bun.spawn(["bash", join(scripts, "run-zygote.sh")], { stdout: "ignore", stderr: "ignore" });
  while (!(await isZygoteUp())) await Bun.sleep(500);
}

/** Its socket outlives one that was killed. */
async function isZygoteUp(): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: join(lab, "zygote.sock"), socket: { data: () => undefined } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

export function stopZygote(): void {
  zygote?.kill();
}

/** An engine over HTTP, once it answers. */
export async function startVllm(port: number, ...flags: readonly string[]): Promise<void> {
  await script("zvllm.sh", [String(port), ...flags]);
  await untilUp(port);
}

/** An engine over gRPC; whoever asks it sees when it serves. */
export async function startVllmGrpc(port: number, ...flags: readonly string[]): Promise<void> {
  await script("zvllm-grpc.sh", [String(port), ...flags]);
}

/** Half of a pair that hands its KV cache over by NIXL. */
export async function startPdHalf(
  role: "kv_producer" | "kv_consumer",
  { port, sidePort }: { readonly port: number; readonly sidePort: number },
  ...flags: readonly string[]
): Promise<void> {
  await script("zvllm-pd.sh", [String(port), String(port), String(sidePort), ...flags], { KV_ROLE: role });
}

export async function untilUp(port: number): Promise<void> {
  for (let tries = 0; tries < 240; tries += 1) {
    try {
      if ((await fetch(`${origin(port)}/health`)).ok) return;
    } catch {
      // Not listening yet.
    }
    await Bun.sleep(250);
  }
  throw new Error(`the engine on port ${port} did not come up; its log is in ${lab}`);
}

export async function killVllm(port: number, signal = "TERM"): Promise<void> {
  for (const name of [`vllm-${port}.pid`, `vllm-grpc-${port}.pid`]) {
    const pidFile = join(lab, name);
    if (existsSync(pidFile)) await script("kill-engine.sh", [pidFile, signal]);
  }
}

/** What an engine has written so far. */
export function logOf(port: number): Promise<string> {
  return Bun.file(join(lab, `vllm-${port}.log`)).text();
}

/** A counter of an engine, all its series together; 0 where there is none. */
export async function counter(port: number, name: string): Promise<number> {
  const text = await (await fetch(`${origin(port)}/metrics`)).text();
  let sum = 0;
  for (const line of text.split("\n")) if (line.startsWith(name)) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  return sum;
}

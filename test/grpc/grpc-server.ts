import { join } from "node:path";

/** What a conformance server is told to do with a call. */
export interface CallPlan {
  readonly id: string;
  /** Messages to send, their size, and the time after each. */
  readonly count?: number;
  readonly size?: number;
  readonly paceMs?: number;
  /** The status to end with, and its words. */
  readonly status?: number;
  readonly message?: string;
  /** It sends what it has to and then nothing more. */
  readonly stalls?: boolean;
  /** Bytes to add to the request. */
  readonly padding?: number;
}

export interface ServerEvent {
  readonly event: string;
  readonly id?: string;
  readonly requestBytes?: number;
  readonly leftMs?: number;
  readonly bytes?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A gRPC server that is not ours, as a process of its own. */
export interface GrpcServer extends AsyncDisposable {
  readonly origin: string;
  readonly pid: number;
  /** The first event, come or to come, of this kind and call. */
  saw(event: string, id?: string): Promise<ServerEvent>;
  tell(line: "drain" | `written ${string}`): void;
  signal(name: NodeJS.Signals): void;
}

/** By the name under which it is shown: how it is started, and why it cannot be where that is so. */
export interface ServerKind {
  readonly name: string;
  readonly command: readonly string[];
  readonly missing?: string;
  /** Why a stream of its that nobody reads holds up the others on the connection, where it does. */
  readonly holdsUpOthers?: string;
}

const HERE = import.meta.dir;
const NODE = Bun.which("node");
const PYTHON = process.env["POINTSMAN_PYTHON_GRPC"];

export const SERVER_KINDS: readonly ServerKind[] = [
  {
    name: "grpc-js on Bun",
    command: [process.execPath, join(HERE, "grpc-js-server.mjs")],
    // While one stream waits for its window, what is written on another waits for the client's next frame, though its own
    // window and the connection's are open. A client that owes it none waits for ever: one in four (Bun 1.4.5, 2026-11-24).
    holdsUpOthers: "https://github.com/oven-sh/bun/pull/43422",
  },
  {
    name: "grpc-js on Node",
    command: [NODE ?? "", join(HERE, "grpc-js-server.mjs")],
    ...(NODE === null ? { missing: "there is no node" } : {}),
  },
  {
    name: "grpcio on Python",
    command: [PYTHON ?? "", join(HERE, "grpcio_server.py")],
    ...(PYTHON === undefined ? { missing: "POINTSMAN_PYTHON_GRPC names no Python that has grpcio" } : {}),
  },
];

export async function startGrpcServer(kind: ServerKind, args: readonly string[] = []): Promise<GrpcServer> {
  const child = Bun.spawn([...kind.command, ...args], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const events: ServerEvent[] = [];
  let waiters: { readonly wants: (event: ServerEvent) => boolean; readonly resolve: (event: ServerEvent) => void }[] =
    [];
  const listening = Promise.withResolvers<number>();
  void (async (): Promise<void> => {
    let buffered = "";
    for await (const bytes of child.stdout) {
      buffered += Buffer.from(bytes).toString();
      const lines = buffered.split("\n");
      buffered = lines.pop() ?? "";
      for (const line of lines) {
        const event = JSON.parse(line) as ServerEvent & { readonly port?: number };
        events.push(event);
        if (event.event === "listening") listening.resolve(event.port ?? 0);
        const met = waiters.filter(({ wants }) => wants(event));
        waiters = waiters.filter((waiter) => !met.includes(waiter));
        for (const { resolve } of met) resolve(event);
      }
    }
    listening.reject(new Error(`${kind.name} ended before it listened`));
  })();
  return {
    origin: `grpc://127.0.0.1:${await listening.promise}`,
    pid: child.pid,
    saw(name, id) {
      const wants = (event: ServerEvent): boolean => event.event === name && (id === undefined || event.id === id);
      const known = events.find(wants);
      return known ? Promise.resolve(known) : new Promise((resolve) => waiters.push({ wants, resolve }));
    },
    tell(line) {
      void child.stdin.write(`${line}\n`);
      void child.stdin.flush();
    },
    signal: (name) => child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** A plan as request bytes. */
export function planBytes(plan: CallPlan): Uint8Array {
  return Buffer.from(`${JSON.stringify(plan)}\n${" ".repeat(plan.padding ?? 0)}`);
}

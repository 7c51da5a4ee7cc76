import { post } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { startOf } from "./start-of.ts";

/**
 * The gateway that one file of fault tests is run against: one process for the whole file, so that what one fault
 * leaves behind meets the next. Each test brings workers of a model of its own.
 */
export interface FaultGateway extends GatewayProcess {
  /** When the process began: see `startOf`. */
  readonly startedAt: string | undefined;
  /** What a request must bring to be served. */
  readonly callHeaders: Readonly<Record<string, string>>;
  /** Registers workers of one model and waits until they are ready. */
  serve(model: string, urls: readonly string[], spec?: Readonly<Record<string, unknown>>): Promise<Served>;
}

export interface Served extends AsyncDisposable {
  readonly ids: readonly string[];
}

/** Bounds short enough that a test can wait for them. Later flags win over them. */
const FLAGS = [
  ["--policy", "round_robin"],
  ["--worker-startup-check-interval", "0.05"],
  ["--connect-timeout-secs", "0.5"],
  ["--first-byte-timeout-secs", "1"],
  ["--idle-timeout-secs", "1"],
  ["--request-timeout-secs", "10"],
  ["--drain-timeout-secs", "1"],
].flat();

/** What requests must bring where the gateway asks for keys. */
export interface Credentials {
  readonly call: Readonly<Record<string, string>>;
  readonly admin: Readonly<Record<string, string>>;
}

export async function startFaultGateway(
  flags: readonly string[] = [],
  credentials: Credentials = { call: {}, admin: {} },
  env: Readonly<Record<string, string>> = {},
): Promise<FaultGateway> {
  return faultGatewayOf(await startProcess([...FLAGS, ...flags], env), credentials);
}

/** A gateway that was started in another way. */
export function faultGatewayOf(gateway: GatewayProcess, { call, admin }: Credentials): FaultGateway {
  return Object.assign(gateway, {
    startedAt: startOf(gateway.pid),
    callHeaders: call,
    async serve(model: string, urls: readonly string[], spec: Readonly<Record<string, unknown>> = {}): Promise<Served> {
      const ids = await Promise.all(
        urls.map((url) => addWorker(gateway.url, { url, model_id: model, ...spec }, admin)),
      );
      return {
        ids,
        async [Symbol.asyncDispose]() {
          await Promise.all(
            ids.map((id) => fetch(`${gateway.url}/workers/${id}`, { method: "DELETE", headers: admin })),
          );
        },
      };
    },
  });
}

async function addWorker(gatewayUrl: string, spec: object, headers: Readonly<Record<string, string>>): Promise<string> {
  const added = await post(`${gatewayUrl}/workers?wait=true`, spec, headers);
  const { id, status } = (await added.json()) as { id?: string; status?: string };
  if (id === undefined || status !== "ready") throw new Error(`the worker is not ready: ${added.status} ${status}`);
  return id;
}

/** A chat request for the model. */
export function chat(model: string, extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { model, messages: [{ role: "user", content: "Hello there" }], ...extra };
}

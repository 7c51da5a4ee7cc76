import { type GivenWorker, loadConfig } from "../../src/config/load.ts";
import type { Config, ConfigKey } from "../../src/config/schema.ts";
import { type AppContext, type AppContextOverrides, createAppContext } from "../../src/context/app-context.ts";
import { registerServer } from "../../src/context/live-parts.ts";
import { serverSettings } from "../../src/context/server-settings.ts";
import { type LocalUnit, startLocalUnit } from "../../src/context/local-unit.ts";
import type { Logger } from "../../src/observability/logger.ts";
import { type RunningServer, startServer } from "../../src/server/server.ts";
import { ConfigTransactions } from "../../src/reload/transactions.ts";
import type { Transport } from "../../src/transport/upstream.ts";

export interface TestGateway extends AsyncDisposable {
  readonly url: string;
  readonly context: AppContext;
  readonly server: RunningServer;
  readonly transactions: ConfigTransactions;
  /** What requests are sent to HTTP workers over. */
  readonly transport: Transport;
  /** Access lines so far. */
  readonly lines: readonly Record<string, unknown>[];
  /** The access line of the next request that ends. */
  nextLine(): Promise<Record<string, unknown>>;
}

export interface GatewayOptions {
  /** Urls of regular workers, or more than that of one. */
  readonly workers?: readonly (string | GivenWorker)[];
  readonly config?: Partial<Config>;
  readonly overrides?: AppContextOverrides;
  /** Return before the workers have answered their first probe. */
  readonly isUnready?: boolean;
}

/** The gateway in this process, on a free port, when its workers are ready. */
export async function startGateway(options: GatewayOptions = {}): Promise<TestGateway> {
  const { config: defaults } = loadConfig({
    env: {},
    flags: {
      values: new Map<ConfigKey, string | boolean>([
        ["host", "127.0.0.1"],
        ["pdDisaggregation", options.workers?.some((worker) => typeof worker !== "string") === true],
      ]),
      workers: options.workers ?? [],
    },
  });
  const config: Config = {
    ...defaults,
    host: "127.0.0.1",
    port: 0,
    prometheusPort: 0,
    defaultPolicy: "round_robin",
    workerStartupCheckInterval: 0.05,
    ...options.config,
  };
  const lines: Record<string, unknown>[] = [];
  const waiting: ((line: Record<string, unknown>) => void)[] = [];
  const logger: Logger = {
    debug: () => undefined,
    info(fields, message) {
      if (message !== "request") return;
      const line = fields as Record<string, unknown>;
      lines.push(line);
      waiting.shift()?.(line);
    },
    warn: () => undefined,
    // Errors that a test brings about are no news; a defect of the gateway is.
    error(fields, message) {
      if (message === "defect") console.error(fields);
    },
  };
  const context = await createAppContext(config, { logger, ...options.overrides });
  let unit: LocalUnit | undefined;
  const transactions = new ConfigTransactions(
    { document: undefined, references: new Set(), notices: [] },
    {
      ...context,
      load: (document) => {
        const loaded = loadConfig({ document, env: {}, flags: { values: new Map(), workers: options.workers ?? [] } });
        return { ...loaded, config: { ...loaded.config, port: 0, prometheusPort: 0, ...options.config } };
      },
      readFile: () => undefined,
      wallNow: Date.now,
    },
  );
  const server = await startServer(
    { ...context, transactions, settings: serverSettings(config) },
    async (controlSide) => (unit = startLocalUnit(context, controlSide)),
  );
  registerServer({ ...context, server });
  if (!unit) throw new Error("the server has no serving unit");
  if (options.isUnready !== true) {
    const { signal } = new AbortController();
    for (const worker of context.workerRegistry.all()) await context.healthChecker.waitUntilSettled(worker.id, signal);
  }
  return {
    url: server.url,
    context,
    server,
    transactions,
    transport: unit.transport,
    lines,
    nextLine: () => new Promise((resolve) => waiting.push(resolve)),
    async [Symbol.asyncDispose]() {
      await server.stop();
      await context[Symbol.asyncDispose]();
    },
  };
}

/** Posts JSON. */
export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

export const HELLO = { model: "sim-1", messages: [{ role: "user", content: "Hello there" }] };

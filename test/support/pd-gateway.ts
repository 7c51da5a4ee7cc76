import { type Config, workerSchema } from "../../src/config/schema.ts";
import type { AppContextOverrides } from "../../src/context/app-context.ts";
import type { PdEngine } from "../engines/pd/pd-engine.ts";
import type { PdDialect } from "../engines/pd/pd-options.ts";
import type { PdFleet } from "./pd-engines.ts";
import { startGateway, type TestGateway } from "./gateway.ts";

export interface PdGatewayOptions {
  readonly config?: Partial<Config>;
  readonly overrides?: AppContextOverrides;
  /** What is said of each worker besides. */
  readonly worker?: (engine: PdEngine, index: number) => Readonly<Record<string, unknown>>;
}

/** The gateway before the engines of these fleets. What they say of themselves is not told again. */
export function startPdGateway(
  fleets: readonly (readonly [PdDialect, Pick<PdFleet, "prefills" | "decodes">])[],
  options: PdGatewayOptions = {},
): Promise<TestGateway> {
  const initialWorkers = fleets.flatMap(([dialect, { prefills, decodes }]) =>
    [...prefills, ...decodes].map((engine, index) =>
      workerSchema.parse({ ...workerOf(dialect, engine), ...options.worker?.(engine, index) }),
    ),
  );
  const { config, overrides = {} } = options;
  return startGateway({ config: { pdDisaggregation: true, ...config, initialWorkers }, overrides });
}

/** What an operator has to say of an engine of this dialect, as its engine does not. */
function workerOf(dialect: PdDialect, { url, side, kvPort }: PdEngine): Record<string, unknown> {
  const base = { url, workerType: side };
  return dialect === "p2p_nccl" ? { ...base, labels: { kv_address: `127.0.0.1:${kvPort}` } } : base;
}

/** A metric's value, the sum over all its series that have these labels. */
export async function metricOf(
  gateway: TestGateway,
  name: string,
  labels: Record<string, string> = {},
): Promise<number> {
  const page = gateway.context.metrics.expose();
  let sum = 0;
  for (const line of page.split("\n")) {
    const isMeant = Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`));
    if (line.startsWith(`${name}{`) && isMeant) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

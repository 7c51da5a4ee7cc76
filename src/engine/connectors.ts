import type { Worker } from "../worker/worker.ts";
import type { PdConnector } from "./connector.ts";
import type { EngineConnectors } from "./engine.ts";
import { ENGINES, engineOf } from "./engines.ts";
import { connectors as ofOthers } from "./openai/connectors.ts";

const ALL: readonly EngineConnectors[] = ENGINES.flatMap(({ connectors }) => connectors ?? []);
const BY_NAME: ReadonlyMap<string, PdConnector> = new Map(ALL.flatMap(({ named }) => [...named]));
const MEANT_BY_BOOTSTRAP_PORT = ALL.find(({ isMeantByBootstrapPort }) => isMeantByBootstrapPort);

/** The connector of this name, in whatever case; one that nobody knows is passed through. */
export function connectorNamed(name: string): PdConnector {
  return BY_NAME.get(name.toLowerCase()) ?? ofOthers.byDefault;
}

/** The connector of a worker: as its operator says (label `kv_connector`), as it said itself, or what its engine has by default. */
export function connectorOf(worker: Worker): PdConnector {
  const { spec, info } = worker;
  const told = spec.labels["kv_connector"] ?? info.kv?.connector;
  if (told !== undefined) return connectorNamed(told);
  const meant = spec.bootstrapPort === undefined ? undefined : MEANT_BY_BOOTSTRAP_PORT;
  return (meant ?? engineOf(worker).connectors ?? ofOthers).byDefault;
}

/** Whether the KV cache can get from one to the other: by one connector of both, which knows of them what it needs. */
export function fitTogether(prefill: Worker, decode: Worker): boolean {
  const connector = connectorOf(prefill);
  return connector === connectorOf(decode) && connector.fits(prefill, decode);
}

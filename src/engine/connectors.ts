import type { Endpoint } from "../protocol/endpoint.ts";
import type { Worker } from "../worker/worker.ts";
import type { PdConnector, PdPart } from "./connector.ts";
import type { EngineConnectors } from "./engine.ts";
import { ENGINES, engineOf } from "./engines.ts";
import { connectors as ofOthers } from "./openai/connectors.ts";

const ALL: readonly EngineConnectors[] = ENGINES.flatMap(({ connectors }) => connectors ?? []);
const BY_NAME: ReadonlyMap<string, PdConnector> = new Map(ALL.flatMap(({ named }) => [...named]));
const MEANT_BY_BOOTSTRAP_PORT = ALL.find(({ isMeantByBootstrapPort }) => isMeantByBootstrapPort);

/** Of an engine that has no connectors: its workers form no pairs. */
const NO_PAIRS: PdConnector = { ...ofOthers.byDefault, name: "none", prefillsAlone: false, suffices: () => false };

/** The connector with this name, in any case; an unknown one is `passthrough`. */
export function connectorNamed(name: string): PdConnector {
  return BY_NAME.get(name.toLowerCase()) ?? ofOthers.byDefault;
}

/** The connector of a worker: from its label `kv_connector`, otherwise from its own report, otherwise its engine's default. */
export function connectorOf(worker: Worker): PdConnector {
  const { spec, info } = worker;
  const told = spec.labels["kv_connector"] ?? info.kv?.connector;
  if (told !== undefined) return connectorNamed(told);
  const meant = spec.bootstrapPort === undefined ? undefined : MEANT_BY_BOOTSTRAP_PORT;
  return (meant ?? engineOf(worker).connectors)?.byDefault ?? NO_PAIRS;
}

/** Whether the KV cache can go from one worker to the other: both have one connector, and the gateway knows enough about each. Over gRPC both must have one engine. */
export function fitTogether(prefill: Worker, decode: Worker): boolean {
  const connector = connectorOf(prefill);
  if (connector !== connectorOf(decode)) return false;
  if (prefill.connectionMode === "grpc" && prefill.info.engine !== decode.info.engine) return false;
  return connector.suffices(prefill, "prefill") && connector.suffices(decode, "decode");
}

/** Whether a decode worker answers a request to this endpoint without a prefill worker. */
export function prefillsAlone(decode: Worker, endpoint: Endpoint): boolean {
  return mayPrefillAlone(decode) && connectorOf(decode).serves(endpoint);
}

/** Whether a decode worker answers requests without a prefill worker, to the endpoints that its connector serves. */
export function mayPrefillAlone(decode: Worker): boolean {
  const connector = connectorOf(decode);
  return connector.prefillsAlone && connector.suffices(decode, "decode");
}

/** Whether any two of them fit together; all have one protocol. It looks at each worker once. */
export function hasPair(prefills: readonly Worker[], decodes: readonly Worker[]): boolean {
  const kinds = new Set(prefills.map((worker) => pairKind(worker, "prefill")));
  return decodes.some((worker) => {
    const kind = pairKind(worker, "decode");
    return kind !== undefined && kinds.has(kind);
  });
}

/** Workers with equal kinds fit together; undefined: the worker fits none. */
function pairKind(worker: Worker, part: PdPart): string | undefined {
  const connector = connectorOf(worker);
  if (!connector.suffices(worker, part)) return undefined;
  return worker.connectionMode === "grpc" ? `${connector.name} of ${worker.info.engine}` : connector.name;
}

import type { PdConnector } from "../connector.ts";
import type { EngineConnectors } from "../engine.ts";
import { oneToken, paramsFor } from "../kv-facts.ts";

const REMOTE_DECODE = '{"do_remote_decode":true,"do_remote_prefill":false}';

/** Any other connector: prefill generates one token, and its transfer parameters go to decode unchanged. */
export const passthrough: PdConnector = {
  name: "passthrough",
  // A server accepts `kv_transfer_params` on routes where prefill can be asked for one token.
  serves: (endpoint) => endpoint.oneToken !== undefined,
  order: "prefill_first",
  isOneSequence: true,
  prefillsAlone: true,
  handsOver: "kv_transfer_params",
  merges: "cached_tokens",
  suffices: () => true,
  prefill: (pd) => ({ members: oneToken(pd).set("kv_transfer_params", REMOTE_DECODE) }),
  decode: () => ({ members: new Map() }),
  handover: (_pd, _shared, part) => (part === "prefill" ? paramsFor(part, REMOTE_DECODE) : undefined),
};

/** A connector with an unknown name is `passthrough`. */
export const connectors: EngineConnectors = {
  named: new Map([["passthrough", passthrough]]),
  byDefault: passthrough,
  isMeantByBootstrapPort: false,
};

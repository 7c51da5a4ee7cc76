import type { PdConnector } from "../connector.ts";
import type { EngineConnectors } from "../engine.ts";
import { oneToken } from "../kv-facts.ts";

/** Whatever else: prefill makes one token, and what it says of its transfer goes to decode word for word. */
export const passthrough: PdConnector = {
  name: "passthrough",
  // A server takes `kv_transfer_params` where prefill can be asked for one token.
  serves: (endpoint) => endpoint.oneToken !== undefined,
  order: "prefill_first",
  isOneSequence: true,
  handsOver: "kv_transfer_params",
  merges: "cached_tokens",
  suffices: () => true,
  prefill: (pd) => ({
    members: oneToken(pd).set("kv_transfer_params", '{"do_remote_decode":true,"do_remote_prefill":false}'),
  }),
  decode: () => ({ members: new Map() }),
};

/** A connector that nobody here knows by name is passed through. */
export const connectors: EngineConnectors = {
  named: new Map([["passthrough", passthrough]]),
  byDefault: passthrough,
  isMeantByBootstrapPort: false,
};

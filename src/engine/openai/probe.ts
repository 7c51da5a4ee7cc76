import type { EngineProbe } from "../engine.ts";
import { askServerInfo } from "../sglang/probe.ts";

/** A server with a name that no engine here has, or without a name. */
export const probe: EngineProbe = {
  owners: [],
  isKnownBy: () => false,
  // Servers built on SGLang, or with copies of its pages, may have any name.
  askPages: askServerInfo,
  grpc: undefined,
};

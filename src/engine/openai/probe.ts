import type { EngineProbe } from "../engine.ts";
import { askServerInfo } from "../sglang/probe.ts";

/** A server that names itself otherwise than the engines here, or not at all. */
export const probe: EngineProbe = {
  owners: [],
  isKnownBy: () => false,
  // Servers that are built on SGLang, or copied its pages, may name themselves as they like.
  askPages: askServerInfo,
  grpc: undefined,
};

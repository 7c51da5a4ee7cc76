import type { Worker } from "../worker/worker.ts";
import type { KvHandover } from "./codec.ts";
import type { PdPart, PdRequest } from "./connector.ts";

/** Default port at which prefill servers wait for decode servers. */
const USUAL_BOOTSTRAP_PORT = 8998;

/** The port at which a prefill worker waits for decode workers: the operator's value, otherwise the worker's report, otherwise the default. */
export function bootstrapPort({ spec, info }: Worker): number {
  return spec.bootstrapPort ?? info.kv?.bootstrapPort ?? USUAL_BOOTSTRAP_PORT;
}

/**
 * The number of data-parallel ranks of a worker's engine: the label `dp_size`, otherwise the engine's report, otherwise the ranks that are
 * workers of their own, otherwise 1.
 */
export function dataParallelSize({ spec, info, rank }: Worker): number {
  const told = Number(spec.labels["dp_size"]);
  if (Number.isInteger(told) && told > 0) return told;
  return info.kv?.dataParallelSize ?? info.dataParallelSize ?? rank?.of ?? 1;
}

/** A worker's address for P2pNccl transfers, `host:port`, from its label `kv_address`. */
export function kvAddress({ spec }: Worker): string | undefined {
  return spec.labels["kv_address"];
}

/** Sets members to null that only the gateway may set, where the client has set them. */
export function withoutClients({ body }: PdRequest, names: readonly string[]): Map<string, string> {
  return new Map(names.filter((name) => body.raw(name)).map((name) => [name, "null"]));
}

/** Members that make prefill generate one token; none over gRPC, on a route whose body has no such members. */
export function oneToken({ endpoint, body }: PdRequest): Map<string, string> {
  return endpoint.oneToken?.(body) ?? new Map();
}

/** The gRPC form of a vLLM connector's parameters. */
export function paramsFor(part: PdPart, json: string): KvHandover {
  return { kind: "params", json, isPrefill: part === "prefill" };
}

import type { Worker } from "../worker/worker.ts";
import type { KvHandover } from "./codec.ts";
import type { PdPart, PdRequest } from "./connector.ts";

/** Where prefill servers listen for decode servers unless told otherwise. */
const USUAL_BOOTSTRAP_PORT = 8998;

/** Where a prefill worker waits for decode workers: as its operator says, as it says itself, or the usual one. */
export function bootstrapPort({ spec, info }: Worker): number {
  return spec.bootstrapPort ?? info.kv?.bootstrapPort ?? USUAL_BOOTSTRAP_PORT;
}

/** As its operator says (label `dp_size`), or as it said itself. */
export function dataParallelSize({ spec, info }: Worker): number {
  const told = Number(spec.labels["dp_size"]);
  return Number.isInteger(told) && told > 0 ? told : (info.kv?.dataParallelSize ?? 1);
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

/** Parameters of a connector of vLLM, for one worker of a pair over gRPC. */
export function paramsFor(part: PdPart, json: string): KvHandover {
  return { kind: "params", json, isPrefill: part === "prefill" };
}

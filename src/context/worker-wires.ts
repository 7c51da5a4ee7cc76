import type { GrpcLimits } from "../transport/grpc/grpc-limits.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import { LateGrpcTransport } from "../transport/grpc/late-grpc-transport.ts";
import { HttpTransport } from "../transport/http1/http-transport.ts";
import { type WorkersTls, WorkerTls } from "../transport/tls/worker-tls.ts";
import type { Transport } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import type { Worker } from "../worker/worker.ts";
import { isSameTls } from "../worker/worker-spec.ts";

export interface WorkerWiresParts {
  readonly clock: Clock;
  readonly workerRegistry: WorkerRegistry;
  readonly maxPerWorker: number;
  readonly grpcLimits: GrpcLimits;
  readonly tls: WorkersTls;
  /** Parts that a test passes. */
  readonly given?: { readonly transport?: Transport; readonly grpc?: GrpcClient };
}

/** The connections of one thread to workers, for one purpose: requests, or the gateway's own questions. */
export interface WorkerWires {
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  /** The next connections use these certificates. Those that carry a request go on. */
  replaceCertificates(next: WorkersTls): void;
}

/** What closes the transports. */
interface Owner {
  use<T extends Disposable>(value: T): T;
  defer(onDispose: () => void): void;
}

/** Opens both transports. They close their connections to a worker that has left, or is spoken to with other certificates. */
export function openWorkerWires(parts: WorkerWiresParts, stack: Owner): WorkerWires {
  const { clock, workerRegistry, maxPerWorker, grpcLimits, given = {} } = parts;
  const tls = new WorkerTls(parts.tls, (origin) => workerRegistry.getByUrl(origin)?.spec.tls);
  const transport = given.transport ?? stack.use(new HttpTransport(clock, maxPerWorker, tls));
  const grpc = given.grpc ?? stack.use(new LateGrpcTransport(grpcLimits, clock, tls));
  const renew = (origin: string): void => {
    transport.forget(origin);
    grpc.renew(origin);
  };
  stack.defer(
    workerRegistry.onChange((before, after) => {
      if (!before) return;
      if (!after && hasOtherRanks(workerRegistry, before)) return;
      if (after && isSameTls(before.spec.tls, after.spec.tls)) return;
      const address = before.spec.url;
      tls.forget(address);
      if (after) return renew(address);
      transport.forget(address);
      grpc.forget(address);
    }),
  );
  return {
    transport,
    grpc,
    replaceCertificates(next) {
      tls.replace(next);
      const addresses = new Set(workerRegistry.all().map(({ spec }) => spec.url));
      for (const address of addresses) if (IS_TLS.test(address)) renew(address);
    },
  };
}

/** Whether other data-parallel ranks use the connections of one that has left. */
function hasOtherRanks(registry: WorkerRegistry, { rank, spec }: Worker): boolean {
  return rank !== undefined && registry.all().some((other) => other.spec.url === spec.url);
}

const IS_TLS = /^(https|grpcs):/;

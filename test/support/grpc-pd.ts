import type { GivenWorker } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import type { AppContextOverrides } from "../../src/context/app-context.ts";
import type { EngineFault, EngineRecord } from "../engines/grpc/engine-core.ts";
import { type GrpcEngineOptions, type SimulatedGrpcEngine, startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startGateway, type TestGateway } from "./gateway.ts";
import { TINY_MODEL, type TinyModel, writeTinyModel } from "./tiny-model.ts";

export type Side = "prefill" | "decode";

export interface GrpcPdOptions {
  readonly kind: "sglang" | "vllm";
  readonly connector?: NonNullable<GrpcEngineOptions["connector"]>;
  /** Of each side. */
  readonly count?: number;
  readonly engine?: Partial<GrpcEngineOptions>;
  readonly config?: Partial<Config>;
  readonly overrides?: AppContextOverrides;
}

export interface GrpcPdSetup extends AsyncDisposable {
  readonly gateway: TestGateway;
  readonly tiny: TinyModel;
  readonly prefills: readonly SimulatedGrpcEngine[];
  readonly decodes: readonly SimulatedGrpcEngine[];
  readonly violations: readonly string[];
  /** What befalls calls from now on, by side and the engine's place on it. */
  fault: ((side: Side, place: number) => EngineFault | undefined) | undefined;
  /** Generations that the engines of a side were asked for, in their order. */
  generations(side: Side): readonly EngineRecord[];
}

/** One for all fleets. */
const TINY = writeTinyModel();

/** Prefill and decode engines that speak the tiny model over gRPC, and a gateway before them. */
export async function startGrpcPd(options: GrpcPdOptions): Promise<GrpcPdSetup> {
  const { kind, connector, count = 2, engine = {}, config = {}, overrides = {} } = options;
  const tiny = await TINY;
  let fault: GrpcPdSetup["fault"];
  const start = (role: Side): Promise<SimulatedGrpcEngine[]> =>
    Promise.all(
      Array.from({ length: count }, (_, place) =>
        startGrpcEngine({
          kind,
          role,
          ...(connector ? { connector } : {}),
          model: TINY_MODEL,
          tokenizer: tiny.tokenizer,
          tokenizerPath: tiny.path,
          fault: () => fault?.(role, place),
          ...engine,
        }),
      ),
    );
  const [prefills, decodes] = [await start("prefill"), await start("decode")];
  const workers = [
    ...prefills.map(({ url, kvPort: bootstrapPort }): GivenWorker => {
      return { flag: "--prefill", url, workerType: "prefill", bootstrapPort };
    }),
    ...decodes.map(({ url }): GivenWorker => ({ flag: "--decode", url, workerType: "decode" })),
  ];
  const gateway = await startGateway({ workers, config, overrides });
  const all = [...prefills, ...decodes];
  return {
    gateway,
    tiny,
    prefills,
    decodes,
    get violations() {
      return all.flatMap(({ violations }) => violations);
    },
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
    },
    generations: (side) =>
      (side === "prefill" ? prefills : decodes)
        .flatMap(({ records }) => records)
        .filter(({ method }) => method === "Generate")
        .toSorted((a, b) => a.order - b.order),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      for (const one of all) await one[Symbol.asyncDispose]();
    },
  };
}

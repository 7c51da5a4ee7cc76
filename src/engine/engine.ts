import type { JsonObject } from "../protocol/json/json.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { KvTransferInfo } from "../worker/worker.ts";
import type { EngineCodec } from "./codec.ts";
import type { PdConnector } from "./connector.ts";

/**
 * An inference engine: all that the gateway knows of one that it does not know of the others. Each has a folder beside this file,
 * with the same file names in each; a part that an engine does not have is undefined here and has no file there. Shared code
 * reads these properties and compares no names.
 */
export interface Engine {
  /** As in `WorkerInfo.engine`. */
  readonly name: string;
  /** As its makers write it, for sentences. */
  readonly title: string;
  readonly probe: EngineProbe;
  readonly questions: EngineQuestions;
  /** How it is spoken to over gRPC; undefined where it has no such service. */
  readonly codec: EngineCodec | undefined;
  /** Undefined where the gateway cannot hand its KV cache over: its workers form no pairs. */
  readonly connectors: EngineConnectors | undefined;
  /** Over HTTP it takes `BASE:ADAPTER` for a LoRA adapter, and `default` for its one model; over gRPC `default` alone. */
  readonly takesModelSpellings: boolean;
}

/** `probe.ts`: how the gateway finds out that a worker is this engine, and what the worker then says of itself. */
export interface EngineProbe {
  /** What its HTTP server says in `owned_by` of the models that it lists. */
  readonly owners: readonly string[];
  /** Whether these pages are its own. Asked where a server names no owner. */
  isKnownBy(pages: FirstPages): boolean;
  /** Reads the pages that only this engine has. Does not throw: a page that is not there says nothing. */
  askPages(first: FirstPages, pages: PageReader): Promise<EngineFacts>;
  /** How its gRPC service is asked; undefined where it has none. */
  readonly grpc: GrpcProbe | undefined;
}

/** What every HTTP worker is asked first. A page that is not there is an empty object. */
export interface FirstPages {
  /** `/get_model_info`, or `/model_info`. */
  readonly modelInfo: JsonObject;
  /** `/version`. */
  readonly version: JsonObject;
}

/** The pages of one HTTP worker. */
export interface PageReader {
  readonly url: string;
  readonly workerType: WorkerType;
  /** The members of a page; none where it is not there, is no JSON object, or could not be had in time. */
  fields(path: string, options?: PageOptions): Promise<JsonObject>;
  /** The first of the pages that has members. */
  firstOf(paths: readonly string[]): Promise<JsonObject>;
}

/** Where a page is not asked for as others are. */
export interface PageOptions {
  /** Another server than the worker's own. */
  readonly origin?: string;
  /** Times as long as another answer may take. */
  readonly patience?: number;
}

/** What only its own engine knows to read of a worker. */
export interface EngineFacts {
  /** The model that it serves, where its list of models names none. */
  readonly model: string | undefined;
  readonly version: string | undefined;
  /** Longest prompt plus answer, in tokens. */
  readonly maxModelLen: number | undefined;
  readonly kv: KvTransferInfo | undefined;
}

/** One message to the worker, one back. Throws what `GrpcClient.unary` throws. */
export type GrpcAsk = (method: string, request: Uint8Array) => Promise<Uint8Array>;

/** How its gRPC service is asked. Both methods reject with upstream_unimplemented where the worker has another engine's service. */
export interface GrpcProbe {
  isHealthy(ask: GrpcAsk): Promise<boolean>;
  askFacts(ask: GrpcAsk): Promise<EngineFacts>;
}

/** `questions.ts`: how operators' questions reach the engine, those that are no inference. */
export interface EngineQuestions {
  readonly http: PageQuestions;
  /** Undefined where it has no gRPC service. */
  readonly grpc: MethodQuestions | undefined;
}

/** Paths. Of several the first that the worker has is the one; with none the engine has no such page. */
export interface PageQuestions {
  /** GET. Generates a token, or at least says whether the engine is well. */
  readonly generates: readonly string[];
  /** GET: the model. */
  readonly modelInfo: readonly string[];
  /** GET: the server's arguments. */
  readonly serverInfo: readonly string[];
  /** POST: empties the prefix cache. */
  readonly flushCache: readonly string[];
  /** GET: requests and tokens that the engine holds. */
  readonly loads: readonly string[];
  /** POST. */
  readonly profile: { readonly start: string; readonly stop: string };
}

/** Methods of its gRPC service; undefined: it has none for the question. */
export interface MethodQuestions {
  readonly getTokenizer: string;
  readonly flushCache: string | undefined;
  readonly profile: { readonly start: string; readonly stop: string } | undefined;
  readonly loads: ((ask: GrpcAsk) => Promise<JsonObject>) | undefined;
}

/** `connectors.ts`: how its KV cache is handed from prefill to decode workers. */
export interface EngineConnectors {
  /** By the names that the engine and operators use, in lower case. */
  readonly named: ReadonlyMap<string, PdConnector>;
  /** Of a worker of which no name is known. */
  readonly byDefault: PdConnector;
  /** A worker that was given a bootstrap port, and no name, has the default one, whatever engine it says it is. */
  readonly isMeantByBootstrapPort: boolean;
}

import type { ChatForm } from "../protocol/chat-form.ts";
import type { JsonObject } from "../protocol/json/json.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { KvTransferInfo } from "../worker/worker.ts";
import type { KvEventsSpec } from "../worker/worker-spec.ts";
import type { EngineCodec } from "./codec.ts";
import type { PdConnector } from "./connector.ts";
import type { RankPin } from "./rank-pin.ts";

/**
 * What the gateway knows about one inference engine. Each engine has a folder beside this file, and all folders have the same file
 * names. A part that an engine does not have is undefined here and has no file there. Shared code reads these properties; it never
 * compares names of engines.
 */
export interface Engine {
  /** The name that the prober stores in `WorkerInfo.engine`. */
  readonly name: string;
  /** The name as its makers write it, for messages. */
  readonly title: string;
  readonly probe: EngineProbe;
  readonly questions: EngineQuestions;
  /** Undefined where the engine has no gRPC service. */
  readonly codec: EngineCodec | undefined;
  /** Undefined where the gateway cannot hand over the engine's KV cache; its workers then form no pairs. */
  readonly connectors: EngineConnectors | undefined;
  /**
   * `chat-form.ts`: how the engine's own server makes prompts of conversations, by its version, newest for an unknown one. Undefined: as
   * the gateway does.
   */
  readonly chatForm: ((version: string | undefined) => ChatForm) | undefined;
  /** Undefined where a request cannot choose the engine's data-parallel rank. */
  readonly rankPin: RankPin | undefined;
  /** Whether the engine accepts `default` as the name of its only model and, over HTTP, `BASE:ADAPTER` as the name of a LoRA adapter. */
  readonly takesModelSpellings: boolean;
}

/** `probe.ts`: how the gateway recognises the engine, and reads what a worker reports about itself. */
export interface EngineProbe {
  /** Values of `owned_by` in the engine's list of models. */
  readonly owners: readonly string[];
  /** Whether these pages come from the engine. Called for servers whose models have no `owned_by`. */
  isKnownBy(pages: FirstPages): boolean;
  /** Reads the pages that only this engine has. Never throws: a missing page has no members. */
  askPages(first: FirstPages, pages: PageReader): Promise<EngineFacts>;
  /** Undefined where the engine has no gRPC service. */
  readonly grpc: GrpcProbe | undefined;
}

/** The pages that the prober asks of every HTTP worker first. A missing page is an empty object. */
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
  /** The members of a page. No members: the page is missing, is not a JSON object, or did not come in time. */
  fields(path: string, options?: PageOptions): Promise<JsonObject>;
  /** The first of these pages that has members. */
  firstOf(paths: readonly string[]): Promise<JsonObject>;
  /** The words of a page; empty if it is missing, or did not come in time. */
  text(path: string): Promise<string>;
}

/** Exceptions for one page. */
export interface PageOptions {
  /** Asks this server instead of the worker's own. */
  readonly origin?: string;
  /** Factor for the time limit. */
  readonly patience?: number;
}

/** The facts that a worker reports on its engine's own pages or methods. */
export interface EngineFacts {
  /** The model that the worker serves, if its list of models is empty. */
  readonly model: string | undefined;
  readonly version: string | undefined;
  /** Longest prompt plus answer, in tokens. */
  readonly maxModelLen: number | undefined;
  /** Tokens that its KV cache holds, over all data-parallel ranks. */
  readonly kvCapacityTokens: number | undefined;
  /** Wall-clock time at which its process began, ms since the epoch. */
  readonly startedAt: number | undefined;
  readonly kv: KvTransferInfo | undefined;
  /** Where it publishes KV events, if it says so. */
  readonly kvEvents?: KvEventsSpec | undefined;
  /** Its data-parallel ranks. */
  readonly dataParallelSize?: number | undefined;
}

/** Sends a message to the worker and returns the answer. Throws what `GrpcClient.unary` throws. */
export type GrpcAsk = (method: string, request: Uint8Array) => Promise<Uint8Array>;

/** Asks the engine's gRPC service. `isHealthy` and `askFacts` reject with upstream_unimplemented if the worker has another engine's service. */
export interface GrpcProbe {
  isHealthy(ask: GrpcAsk): Promise<boolean>;
  askFacts(ask: GrpcAsk): Promise<EngineFacts>;
  /** Tokens that the KV cache holds, for an engine that has a method of its own for it. Never rejects. */
  askCapacity?(ask: GrpcAsk): Promise<number | undefined>;
}

/** `questions.ts`: the pages and methods that answer operators' questions. */
export interface EngineQuestions {
  readonly http: PageQuestions;
  /** Undefined where the engine has no gRPC service. */
  readonly grpc: MethodQuestions | undefined;
}

/** Paths, in the order in which the gateway tries them until the worker has one. An empty list: the engine has no such page. */
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
  readonly loads: readonly LoadsPage[];
  /** POST. */
  readonly profile: { readonly start: string; readonly stop: string };
}

/** A page about the load, and what it says in the members of SGLang's `/v1/loads`: `loads`, one entry for each data-parallel rank. */
export interface LoadsPage {
  readonly path: string;
  /** Undefined where the text says nothing about a load. Throws SyntaxError where it is no JSON and should be. */
  readonly read: (text: string) => JsonObject | undefined;
}

/** Methods of the gRPC service. Undefined: the service has no method for the question. */
export interface MethodQuestions {
  readonly getTokenizer: string;
  readonly flushCache: string | undefined;
  readonly profile: { readonly start: string; readonly stop: string } | undefined;
  readonly loads: ((ask: GrpcAsk) => Promise<JsonObject>) | undefined;
}

/** `connectors.ts`: how the KV cache goes from prefill to decode workers. */
export interface EngineConnectors {
  /** Connectors by the names that the engine and operators use, in lower case. */
  readonly named: ReadonlyMap<string, PdConnector>;
  /** The connector of a worker that names none. */
  readonly byDefault: PdConnector;
  /** Whether a worker with a bootstrap port and no named connector gets the default connector, whichever engine it is. */
  readonly isMeantByBootstrapPort: boolean;
}

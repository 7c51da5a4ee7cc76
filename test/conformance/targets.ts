import { afterAll, beforeAll, describe, expect } from "bun:test";
import OpenAI from "openai";
import type { GivenWorker } from "../../src/config/load.ts";
import { type GrpcEngineOptions, startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import type { PdDialect } from "../engines/pd/pd-options.ts";
import { isJsonObject, type JsonObject, numberField, objectField } from "../../src/protocol/json/json.ts";
import type { WorkerKind } from "../../src/worker/worker.ts";
import { startEngine } from "../support/engine.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL, type TinyModel, writeTinyModel } from "../support/tiny-model.ts";

/*
 * What the conformance cases run over: simulated engines of each kind behind a gateway. Engines that speak tokens say what
 * follows `SAY:` in their prompt, where it is there; those over HTTP answer with text of their own.
 */

/** What an engine was asked, as its own API names it. */
export interface Asked {
  readonly temperature: number | undefined;
  readonly seed: number | undefined;
  /** The JSON schema that the answer must fit. */
  readonly schema: unknown;
  readonly stopTokenIds: unknown;
  readonly maxTokens: number | undefined;
}

export interface Target extends AsyncDisposable {
  readonly kind: WorkerKind;
  readonly engine: "vllm" | "sglang";
  readonly model: string;
  readonly gateway: TestGateway;
  readonly client: OpenAI;
  /** Tokens of the model; undefined where the engine keeps them to itself. */
  readonly tiny: TinyModel | undefined;
  /** The last generation, as the engine that answered was asked for it. */
  asked(): Asked;
  /** Routes that workers of this kind and engine cannot serve: docs/routers.md. */
  readonly refused: readonly string[];
  /** The engine's API has a place for a seed. */
  readonly takesSeed: boolean;
  /** The prompt of the last generation, as the engine got it. */
  prompt(): string;
  /** Generations that the engine which answers was asked for. */
  generations(): number;
  /** Generations that engines have given up because somebody told them to. */
  givenUp(): number;
  /** Departures from the engines' protocols. */
  readonly violations: readonly string[];
}

type Start = (slow: boolean) => Promise<Target>;

export const TARGETS: Readonly<Record<string, Start>> = {
  "HTTP, vLLM": (slow) => startHttp("vllm", slow),
  "HTTP, SGLang": (slow) => startHttp("sglang", slow),
  "prefill and decode over HTTP, vLLM": (slow) => startHttpPd("nixl", slow),
  "prefill and decode over HTTP, SGLang": (slow) => startHttpPd("sglang", slow),
  "gRPC, vLLM": (slow) => startGrpc({ kind: "vllm" }, slow),
  "gRPC, SGLang": (slow) => startGrpc({ kind: "sglang" }, slow),
  "prefill and decode over gRPC, vLLM with NIXL": (slow) => startGrpcPd({ kind: "vllm" }, slow),
  "prefill and decode over gRPC, vLLM with Mooncake": (slow) =>
    startGrpcPd({ kind: "vllm", connector: "MooncakeConnector" }, slow),
  "prefill and decode over gRPC, SGLang": (slow) => startGrpcPd({ kind: "sglang" }, slow),
};

/** Targets on which a case stands for the same thing: those of these kinds, or all. */
export function overTargets(cases: (target: () => Target) => void, kinds?: readonly WorkerKind[]): void {
  for (const [name, start] of Object.entries(TARGETS)) {
    if (kinds && !kinds.some((kind) => kind === kindOf(name))) continue;
    describe(name, () => {
      let target: Target | undefined;
      beforeAll(async () => {
        target = await start(false);
      });
      afterAll(async () => {
        expect(target?.violations).toEqual([]);
        await target?.[Symbol.asyncDispose]();
      });
      cases(() => {
        if (!target) throw new Error("the target is not there");
        return target;
      });
    });
  }
}

function kindOf(name: string): WorkerKind {
  const isPd = name.startsWith("prefill");
  if (name.includes("gRPC")) return isPd ? "grpc_pd" : "grpc";
  return isPd ? "http_pd" : "http";
}

const EMBED = ["/v1/embeddings"];
/** Time for a token of a slow engine, ms. */
const SLOW_MS = 20;

async function startHttp(kind: "vllm" | "sglang", slow: boolean): Promise<Target> {
  const engine = await startEngine({
    kind,
    model: TINY_MODEL,
    instant: !slow,
    ...(slow ? { timing: { decodeMs: SLOW_MS } } : {}),
  });
  const gateway = await startGateway({ workers: [engine.url] });
  return {
    ...common("http", gateway, undefined),
    engine: kind,
    refused: [],
    takesSeed: true,
    asked: () => askedInBody(engine.requests.at(-1)?.body),
    generations: () => engine.stats.started,
    prompt: () => engine.requests.at(-1)?.body ?? "",
    givenUp: () => engine.stats.aborted,
    violations: [],
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      await engine.stop();
    },
  };
}

async function startHttpPd(dialect: PdDialect, slow: boolean): Promise<Target> {
  const fleet = await startPdFleet({
    dialect,
    prefills: 1,
    decodes: 1,
    engine: { model: TINY_MODEL, instant: !slow, ...(slow ? { timing: { decodeMs: SLOW_MS } } : {}) },
  });
  const gateway = await startPdGateway([[dialect, fleet]]);
  return {
    ...common("http_pd", gateway, undefined),
    engine: dialect === "sglang" ? "sglang" : "vllm",
    refused: dialect === "sglang" ? ["/v1/messages", "/v1/responses", ...EMBED] : ["/generate", ...EMBED],
    takesSeed: true,
    asked: () => askedInBody(fleet.decodes[0]?.requests.at(-1)?.body),
    generations: () => fleet.decodes[0]?.stats.started ?? 0,
    prompt: () => fleet.decodes[0]?.requests.at(-1)?.body ?? "",
    givenUp: () => fleet.decodes[0]?.stats.aborted ?? 0,
    get violations() {
      return fleet.violations;
    },
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

async function startGrpc(options: GrpcEngineOptions, slow: boolean): Promise<Target> {
  const tiny = await writeTinyModel();
  const engine = await startGrpcEngine({ ...grpcOptions(tiny, slow), ...options });
  const gateway = await startGateway({ workers: [engine.url] });
  return grpcTarget("grpc", gateway, { tiny, options, engines: [engine] });
}

async function startGrpcPd(options: GrpcEngineOptions, slow: boolean): Promise<Target> {
  const tiny = await writeTinyModel();
  const prefill = await startGrpcEngine({ ...grpcOptions(tiny, slow), ...options, role: "prefill" });
  const decode = await startGrpcEngine({ ...grpcOptions(tiny, slow), ...options, role: "decode" });
  const workers: readonly GivenWorker[] = [
    { flag: "--prefill", url: prefill.url, workerType: "prefill", bootstrapPort: prefill.kvPort },
    { flag: "--decode", url: decode.url, workerType: "decode" },
  ];
  return grpcTarget("grpc_pd", await startGateway({ workers }), { tiny, options, engines: [prefill, decode] });
}

type Engine = Awaited<ReturnType<typeof startGrpcEngine>>;

interface GrpcFleet {
  readonly tiny: TinyModel;
  readonly options: GrpcEngineOptions;
  /** The last of them answers. */
  readonly engines: readonly Engine[];
}

function grpcTarget(kind: WorkerKind, gateway: TestGateway, { tiny, options, engines }: GrpcFleet): Target {
  const records = (): Engine["records"] => engines.at(-1)?.records ?? [];
  const generation = (): Engine["records"][number] | undefined =>
    records().findLast(({ method }) => method === "Generate");
  return {
    ...common(kind, gateway, tiny),
    engine: options.kind,
    refused: kind === "grpc" ? [] : EMBED,
    takesSeed: options.kind === "vllm",
    asked: () => askedInMessage(generation()?.message),
    generations: () => records().filter(({ method }) => method === "Generate").length,
    prompt: () => tiny.tokenizer.decode(generation()?.promptIds ?? []),
    givenUp: () => records().filter(({ outcome }) => outcome === "cancelled" || outcome === "aborted").length,
    get violations() {
      return engines.flatMap(({ violations }) => violations);
    },
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      for (const engine of engines) await engine[Symbol.asyncDispose]();
    },
  };
}

function common(
  kind: WorkerKind,
  gateway: TestGateway,
  tiny: TinyModel | undefined,
): Pick<Target, "kind" | "model" | "gateway" | "client" | "tiny"> {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "x", maxRetries: 0 });
  return { kind, model: TINY_MODEL, gateway, client, tiny };
}

/** What an engine needs to speak the tiny model. */
function grpcOptions({ path, tokenizer }: TinyModel, slow: boolean): Omit<GrpcEngineOptions, "kind"> {
  return {
    model: TINY_MODEL,
    tokenizer,
    tokenizerPath: path,
    maxModelLen: 4096,
    answer: said,
    ...(slow ? { msPerToken: SLOW_MS } : {}),
  };
}

/** What stands after the last `SAY:` of a prompt, up to the end of its message, without what the answer has of it already. */
function said({ text }: { readonly text: string }): string | undefined {
  const [script] = text.split("SAY:").slice(1).at(-1)?.split(END) ?? [];
  const begun = text.split(ANSWER).slice(1).at(-1) ?? "";
  return script?.startsWith(begun) === true ? script.slice(begun.length) : script;
}

const END = "<|im_end|>";
const ANSWER = "<|im_start|>assistant\n";

function askedInBody(text: string | undefined): Asked {
  const body: unknown = JSON.parse(text ?? "{}");
  const fields = isJsonObject(body) ? body : {};
  const format = objectField(fields, "response_format") ?? {};
  return {
    temperature: numberField(fields, "temperature"),
    seed: numberField(fields, "seed"),
    schema: objectField(format, "json_schema")?.["schema"],
    stopTokenIds: fields["stop_token_ids"],
    maxTokens: numberField(fields, "max_tokens"),
  };
}

function askedInMessage(message: unknown): Asked {
  const sampling = isJsonObject(message) ? (objectField(message, "samplingParams") ?? {}) : {};
  const constraint: JsonObject = objectField(sampling, "constraint") ?? {};
  return {
    temperature: numberField(sampling, "temperature"),
    seed: numberField(sampling, "seed"),
    schema: constraint["$case"] === "jsonSchema" ? JSON.parse(String(constraint["value"])) : undefined,
    stopTokenIds: sampling["stopTokenIds"],
    maxTokens: numberField(sampling, "maxTokens") ?? numberField(sampling, "maxNewTokens"),
  };
}

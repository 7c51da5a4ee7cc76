import { type JsonObject, stringField } from "../../protocol/json/json.ts";
import type * as Messages from "../../transport/grpc/generated/engine/sglang.ts";
import { lazy } from "../../util/lazy.ts";
import type { KvTransferInfo } from "../../worker/worker.ts";
import type { EngineFacts, EngineProbe, FirstPages, PageReader } from "../engine.ts";
import { positive, saidCount, saidText, told } from "../said.ts";
import { kvEventsOf } from "../kv-event-facts.ts";
import { SGLANG } from "./methods.ts";

const messages = lazy((): typeof Messages => require("../../transport/grpc/generated/engine/sglang.ts"));

const NOTHING = new Uint8Array(0);

/** SGLang names itself in its list of models, and lists its arguments on `/server_info`. */
export const probe: EngineProbe = {
  owners: ["sglang"],
  isKnownBy: ({ modelInfo }) => Object.keys(modelInfo).length > 0,
  askPages: askServerInfo,
  grpc: {
    isHealthy: async (ask) => messages().HealthCheckResponse.decode(await ask(SGLANG.healthCheck, NOTHING)).healthy,
    async askFacts(ask) {
      const model = messages().GetModelInfoResponse.decode(await ask(SGLANG.getModelInfo, NOTHING));
      const server = messages().GetServerInfoResponse.decode(await ask(SGLANG.getServerInfo, NOTHING));
      return {
        model: told(model.servedModelName) ?? told(model.modelPath),
        version: told(server.sglangVersion),
        maxModelLen: positive(model.maxContextLength),
        kvCapacityTokens: ofAllRanks(positive(server.maxTotalNumTokens), server.serverArgs ?? {}),
        startedAt: positive(Number(server.startTime?.seconds ?? 0) * 1000),
        kv: kvOf(server.serverArgs ?? {}),
        kvEvents: kvEventsOf(server.serverArgs ?? {}),
        dataParallelSize: saidCount(server.serverArgs ?? {}, "dp_size"),
      };
    },
  },
};

/** Reads the arguments of SGLang's server, from the page's new name or its old one. */
export async function askServerInfo({ modelInfo }: FirstPages, pages: PageReader): Promise<EngineFacts> {
  const server = await pages.firstOf(["/server_info", "/get_server_info"]);
  return {
    model:
      saidText(server, "served_model_name") ??
      saidText(modelInfo, "served_model_name") ??
      saidText(modelInfo, "model_path"),
    version: saidText(server, "version"),
    maxModelLen: saidCount(server, "context_length"),
    kvCapacityTokens: ofAllRanks(saidCount(server, "max_total_num_tokens"), server),
    startedAt: undefined,
    kv: kvOf(server),
    kvEvents: kvEventsOf(server),
    dataParallelSize: saidCount(server, "dp_size"),
  };
}

/** The server names the tokens of its first data-parallel rank; each rank has as many, and a cache of its own. */
function ofAllRanks(tokens: number | undefined, args: JsonObject): number | undefined {
  return tokens === undefined ? undefined : tokens * (saidCount(args, "dp_size") ?? 1);
}

/** SGLang's arguments say whether it is one half of a pair. */
function kvOf(args: JsonObject): KvTransferInfo | undefined {
  const mode = stringField(args, "disaggregation_mode");
  if (mode === undefined || mode === "null" || mode === "") return undefined;
  return {
    connector: "sglang",
    engineId: undefined,
    bootstrapPort: saidCount(args, "disaggregation_bootstrap_port"),
    dataParallelSize: saidCount(args, "dp_size") ?? 1,
  };
}

import type { Config } from "../config/schema.ts";
import { WorkerClient } from "../engine/worker-client.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { ModelTexts } from "../router/grpc/model-text.ts";
import { PromptTokens } from "../router/http/prompt-tokens.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import type * as Templates from "../tokenizer/chat-template.ts";
import type { Transport } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import { lazy } from "../util/lazy.ts";
import type { Registries } from "./registries.ts";
import { modelTextSettings } from "./settings.ts";

const templates = lazy((): typeof Templates => require("../tokenizer/chat-template.ts"));

/** Parts of a serving unit that its texts need. */
export interface ModelTextsParts extends Pick<Registries, "tokenizers" | "workerRegistry" | "policyRegistry"> {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  /** The gateway's entry in `Via`. */
  readonly via: string;
}

/** Makes what turns the models' texts into tokens, for requests to token engines and for policies. `stack` closes it. */
export function createModelTexts(
  parts: ModelTextsParts,
  stack: DisposableStack,
): { readonly texts: ModelTexts; readonly promptTokens: PromptTokens } {
  const { config, clock, logger, metrics, transport, grpc, via, tokenizers, workerRegistry, policyRegistry } = parts;
  const followsAll = config.kvEventsEndpoint !== undefined;
  const client = new WorkerClient({ transport, grpc, clock, via });
  const texts = stack.use(
    new ModelTexts({
      tokenizers,
      workers: workerRegistry,
      logger,
      clock,
      fetchTokenizer: async (worker) => (await import("../engine/worker-tokenizer.ts")).fetchTokenizer(client, worker),
      settings: modelTextSettings(config),
      followsCache: ({ kvEvents }) => (kvEvents === undefined ? followsAll : kvEvents !== false),
    }),
  );
  const promptTokens = new PromptTokens({ texts, policies: policyRegistry, metrics, logger, clock, followsAll });
  return { texts, promptTokens };
}

/** Throws invalid_request where the texts of models cannot be made: an unknown parser, or a template that is none. */
export function checkModelTexts(config: Config): void {
  const { chatTemplate } = modelTextSettings(config);
  if (chatTemplate !== undefined) templates().ChatTemplate.compile(chatTemplate);
}

import { isJsonObject, type JsonObject } from "../../protocol/json/json.ts";

/**
 * Members of an engine's own pages that clients may see, at any depth. They are members of SGLang's `ServerArgs`, scheduler and
 * `/get_model_info`, and of vLLM's pages, that describe a model, its size and how it runs. It lists what passes and not what is
 * secret, because engines print all of their arguments, and each release adds more.
 */
const PUBLIC_MEMBERS: ReadonlySet<string> = new Set([
  // About the model.
  ...["model", "model_path", "tokenizer_path", "served_model_name", "model_type", "architectures", "revision"],
  ...["weight_version", "is_generation", "is_embedding", "has_image_understanding", "has_audio_understanding"],
  ...["enable_multimodal", "context_length", "max_model_len", "dtype", "quantization", "kv_cache_dtype", "load_format"],
  ...["reasoning_parser", "tool_call_parser", "preferred_sampling_params", "trust_remote_code", "skip_tokenizer_init"],
  // Sampling parameters that a model prefers.
  ...["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"],
  // About its size.
  ...["tp_size", "pp_size", "dp_size", "ep_size", "nnodes", "device", "page_size", "block_size", "mem_fraction_static"],
  ...["tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "gpu_memory_utilization"],
  ...["max_total_num_tokens", "max_total_tokens", "max_req_input_len", "max_running_requests", "max_queued_requests"],
  ...["max_num_seqs", "max_num_batched_tokens", "max_prefill_tokens", "chunked_prefill_size", "num_gpu_blocks"],
  ...["effective_max_running_requests_per_dp", "memory_usage", "weight", "kvcache", "cuda_graph", "token_capacity"],
  // How the engine is configured.
  ...["version", "status", "engine", "schedule_policy", "schedule_conservativeness", "load_balance_method"],
  ...["attention_backend", "prefill_attention_backend", "decode_attention_backend", "sampling_backend"],
  ...["grammar_backend", "speculative_algorithm", "speculative_num_steps", "speculative_eagle_topk"],
  ...["speculative_num_draft_tokens", "enable_lora", "max_loras_per_batch", "max_lora_rank", "random_seed", "seed"],
  ...["disable_radix_cache", "enable_prefix_caching", "enable_dp_attention", "enable_torch_compile", "enable_metrics"],
  ...["disable_cuda_graph", "cuda_graph_max_bs", "stream_interval", "disaggregation_mode"],
  ...["disaggregation_transfer_backend"],
  // How the engine performs.
  ...["internal_states", "last_gen_throughput", "avg_spec_accept_length", "step_time_dict", "load"],
  ...["num_running_reqs", "num_waiting_reqs", "token_usage", "cache_hit_rate", "gen_throughput"],
]);

const MAX_DEPTH = 4;
const MAX_ENTRIES = 256;
const MAX_TEXT_CHARS = 512;

/** The page with only the members above; undefined if none is left. */
export function publicPart(page: JsonObject, depth = MAX_DEPTH): JsonObject | undefined {
  const members = Object.entries(page)
    .filter(([name]) => PUBLIC_MEMBERS.has(name))
    .flatMap(([name, value]) => {
      const kept = publicValue(value, depth);
      return kept === undefined ? [] : [[name, kept] as const];
    });
  return members.length > 0 ? Object.fromEntries(members) : undefined;
}

/** The numbers of an engine's load report, at any depth, without its texts. */
export function numbersOf(page: JsonObject): JsonObject {
  const kept = numericPart(page, MAX_DEPTH);
  return isJsonObject(kept) ? kept : {};
}

function numericPart(value: unknown, depth: number): unknown {
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value !== "object" || value === null || depth === 0) return undefined;
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ENTRIES).flatMap((entry: unknown) => numericPart(entry, depth - 1) ?? []);
  }
  const members = Object.entries(value).slice(0, MAX_ENTRIES);
  const kept = members.map(([name, member]) => [name, numericPart(member, depth - 1)] as const);
  return Object.fromEntries(kept.filter(([, member]) => member !== undefined));
}

function publicValue(value: unknown, depth: number): unknown {
  if (typeof value === "string") return isPlain(value) ? value : undefined;
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return undefined;
  if (Array.isArray(value)) {
    return value
      .slice(0, MAX_ENTRIES)
      .map((entry: unknown) => publicValue(entry, depth - 1))
      .filter((entry) => entry !== undefined);
  }
  return isJsonObject(value) ? publicPart(value, depth - 1) : undefined;
}

/** Whether the text is a name, a version or a path. A longer text, JSON or a URL could have anything in it. */
function isPlain(text: string): boolean {
  return text.length <= MAX_TEXT_CHARS && !/[{}\n]|:\/\//.test(text);
}

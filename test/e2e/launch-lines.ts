/** A launch line that is public, and what becomes of it here. */
export interface LaunchLine {
  readonly from: string;
  /**
   * `W1` to `W4` stand for workers over HTTP, `G1` and `G2` over gRPC, `D1` and `D2` for engines of eight ranks, `S1` to `S4` for SGLang's prefill and decode with the
   * bootstrap ports `B1` and `B2`, `M3` and `M4` for Mooncake's pair, `TOKENIZER` for a tokenizer.json.
   */
  readonly line: string;
  /**
   * What it comes to: it serves; it starts and waits for what the test does not have; or each complaint, in order, by how it
   * begins.
   */
  readonly becomes: "serves" | "starts" | readonly string[];
  /** What is said at its start, by how each begins. */
  readonly notices?: readonly string[];
}

const INDEX = "changes nothing: the prefix index";

export const LAUNCH_LINES: readonly LaunchLine[] = [
  { from: "sglang README, regular", line: "--worker-urls W1 W2 --policy cache_aware", becomes: "serves" },
  {
    from: "sglang README, prefill and decode",
    line: "--pd-disaggregation --prefill S1 B1 --prefill S2 --decode S3 --decode S4 --policy cache_aware --prefill-policy cache_aware --decode-policy power_of_two",
    becomes: "serves",
  },
  {
    from: "sglang README, many models",
    line: "--enable-igw --policy cache_aware --max-concurrent-requests 512",
    becomes: "starts",
  },
  {
    from: "sglang README, gRPC (Python)",
    line: "--worker-urls G1 --model-path meta-llama/Llama-3.1-8B-Instruct --host 0.0.0.0 --port 18080",
    becomes: "serves",
  },
  {
    from: "sglang README, gRPC (Rust)",
    line: "--worker-urls G1 G2 --tokenizer-path TOKENIZER --reasoning-parser deepseek-r1 --tool-call-parser json",
    becomes: "serves",
  },
  {
    from: "sglang README, OpenAI backend",
    line: "--backend openai --worker-urls W1",
    becomes: "serves",
    notices: ["--backend changes nothing: which engine a worker runs is asked of it"],
  },
  {
    from: "sglang README, service discovery",
    line: "--service-discovery --selector app=sglang-worker role=inference --service-discovery-namespace sglang-system --service-discovery-port 8000",
    becomes: "starts",
    notices: ["source of workers is away"],
  },
  {
    from: "sglang README, mini-lb",
    line: "--mini-lb --pd-disaggregation --prefill S1 --decode S3",
    becomes: "serves",
    notices: ["--mini-lb changes nothing: prefill and decode go through the same router"],
  },
  {
    from: "sglang README, security",
    line: "--api-key shared-api-key --worker-urls W1 W2",
    becomes: "serves",
    notices: ["--api-key is also sent to the workers that --worker-urls names"],
  },
  {
    from: "a script, sglang",
    line: "--worker-urls W1 W2 --policy cache_aware --host 0.0.0.0 --port 30080 --cache-threshold 0.2 --balance-abs-threshold 1 --balance-rel-threshold 1.2",
    becomes: "serves",
  },
  {
    from: "a script, sglang with a long timeout",
    line: "--worker-urls W1 W2 --port 18081 --policy round_robin --request-timeout-secs 7200",
    becomes: "serves",
  },
  {
    from: "a compose file, sglang",
    line: "--pd-disaggregation --prefill S1 B1 --prefill S2 B2 --decode S3 --decode S4 --prefill-policy power_of_two --decode-policy power_of_two --host 0.0.0.0 --port 18000",
    becomes: "serves",
  },
  {
    from: "a script, sglang with eviction",
    line: "--worker-urls W1 W2 --policy cache_aware --max-tree-size 8388608 --eviction-interval-secs 30",
    becomes: "serves",
    notices: [`--eviction-interval-secs ${INDEX} evicts as it inserts`],
  },
  {
    from: "sglang docs, logs in a folder",
    line: "--worker-urls W1 W2 --policy cache_aware --log-dir /var/log/router --log-level debug",
    becomes: "serves",
    notices: ["--log-dir changes nothing: log lines go to standard output and no files are written"],
  },
  { from: "smg README", line: "launch --worker-urls W1", becomes: "serves" },
  {
    from: "smg README, mesh",
    line: "launch --worker-urls W1 --enable-mesh --mesh-advertise-host 10.0.0.1 --mesh-peer-urls 10.0.0.2:39527",
    becomes: ["--enable-mesh: several gateways that share state are not built yet"],
  },
  {
    from: "a Dockerfile, smg",
    line: "launch --host 0.0.0.0 --port 8801 --backend sglang --policy cache_aware",
    becomes: "starts",
    notices: ["--backend changes nothing"],
  },
  {
    from: "examples of training, smg",
    line: "launch --worker-urls W1 W2 --policy cache_aware --enable-rl --disable-health-check --disable-circuit-breaker --request-timeout-secs 14400",
    becomes: ["--enable-rl: the RL control plane (/v1/rl) is not built yet"],
  },
  {
    from: "smg docs, vLLM over gRPC",
    line: "launch --backend vllm --worker-urls G1 --policy cache_aware --model-path /models/tok --port 30100 --prometheus-port 29100",
    becomes: "serves",
    notices: ["--backend changes nothing"],
  },
  {
    from: "a benchmark, smg",
    line: "launch --host 0.0.0.0 --worker-urls G1 --worker-startup-timeout-secs 2147483647 --tokenizer-path TOKENIZER --policy passthrough",
    becomes: "serves",
    notices: ["worker_startup_timeout_secs 2147483647 is taken as 86400"],
  },
  {
    from: "a benchmark, smg by load",
    line: "launch --host 127.0.0.1 --worker-urls G1 --policy least_load",
    becomes: "serves",
  },
  {
    from: "smg helm chart, its defaults",
    line: "--host 0.0.0.0 --port 30000 --policy cache_aware --worker-urls W1 W2 --cache-threshold 0.3 --balance-abs-threshold 64 --balance-rel-threshold 1.5 --eviction-interval 120 --max-tree-size 67108864 --block-size 16 --max-payload-size 536870912 --request-timeout-secs 1800 --max-concurrent-requests -1 --queue-size 100 --queue-timeout-secs 60 --retry-max-retries 5 --retry-initial-backoff-ms 50 --retry-max-backoff-ms 30000 --retry-backoff-multiplier 1.5 --retry-jitter-factor 0.2 --cb-failure-threshold 10 --cb-success-threshold 3 --cb-timeout-duration-secs 60 --cb-window-duration-secs 120 --health-failure-threshold 3 --health-success-threshold 2 --health-check-timeout-secs 5 --health-check-interval-secs 60 --health-check-endpoint /health --prometheus-port 29000 --log-level info --log-json --rate-limit-tokens-per-second 0",
    becomes: "serves",
    notices: [
      `--eviction-interval ${INDEX} evicts as it inserts`,
      `--block-size ${INDEX} has blocks and bounds of its own`,
      "retry_max_retries 5 is taken as 1",
    ],
  },
  { from: "smg", line: "launch --worker-urls W1 --remove-unhealthy-workers", becomes: "serves" },
  {
    from: "smg, by the prompt's hash",
    line: "--worker-urls W1 W2 --policy prefix_hash",
    becomes: "serves",
  },
  {
    from: "smg, by a map of keys",
    line: "--worker-urls W1 W2 --policy manual",
    becomes: "serves",
  },
  {
    from: "smg, by length",
    line: "--worker-urls W1 W2 --policy bucket",
    becomes: "serves",
  },
  {
    from: "vllm-router README, ranks",
    line: "--worker-urls D1 D2 --policy consistent_hash --intra-node-data-parallel-size 8",
    becomes: "serves",
  },
  {
    from: "vllm-router README, NIXL",
    line: "--policy consistent_hash --vllm-pd-disaggregation --prefill W1 --prefill W2 --decode W3 --decode W4 --host 127.0.0.1 --port 8090 --intra-node-data-parallel-size 1",
    becomes: "serves",
  },
  {
    from: "vllm-router README, NCCL",
    line: "--policy consistent_hash --vllm-pd-disaggregation --vllm-discovery-address 0.0.0.0:30001 --host 0.0.0.0 --port 10001 --prefill-policy consistent_hash --decode-policy consistent_hash",
    becomes: ["--vllm-discovery-address: workers do not register themselves; name them with --prefill and --decode"],
  },
  {
    from: "vllm-router README, Mooncake",
    line: "--policy consistent_hash --vllm-pd-disaggregation --kv-connector mooncake --prefill M3 --decode M4 --host 127.0.0.1 --port 8090 --intra-node-data-parallel-size 1",
    becomes: "serves",
  },
  {
    from: "vllm-router README, keys",
    line: "--api-key-validation-urls https://codebase.helmholtz.cloud/api/v4/user",
    becomes: [
      "--api-key-validation-urls: keys are not validated elsewhere; --api-key or api_keys in the file name them",
    ],
  },
  {
    from: "vllm-router README, metrics",
    line: "--worker-urls W1 W2 --prometheus-host 0.0.0.0 --prometheus-port 9000",
    becomes: "serves",
  },
  {
    from: "vllm-router README, retries",
    line: "--worker-urls W1 W2 --retry-max-retries 3 --retry-initial-backoff-ms 100 --retry-max-backoff-ms 10000 --retry-backoff-multiplier 2.0 --retry-jitter-factor 0.1",
    becomes: "serves",
    notices: ["retry_max_retries 3 is taken as 1", "retry_backoff_multiplier changes nothing"],
  },
  {
    from: "vllm-router README, breakers",
    line: "--worker-urls W1 W2 --cb-failure-threshold 5 --cb-success-threshold 2 --cb-timeout-duration-secs 30 --cb-window-duration-secs 60",
    becomes: "serves",
  },
  {
    from: "vllm-router README, request ids",
    line: "--worker-urls W1 --request-id-headers x-trace-id x-request-id",
    becomes: "serves",
  },
  {
    from: "vllm-router docs, cache_aware",
    line: "--policy cache_aware --cache-threshold 0.5 --balance-abs-threshold 32 --balance-rel-threshold 1.1 --worker-urls W1 W2",
    becomes: "serves",
  },
  {
    from: "vllm-router docs, consistent_hash",
    line: "--policy consistent_hash --worker-urls W1 W2",
    becomes: "serves",
  },
  {
    from: "vllm-router docs, prefill and decode",
    line: "--mode pd --prefill-policy consistent_hash --decode-policy round_robin --prefill-workers W1,W2 --decode-workers W3,W4",
    becomes: "serves",
  },
  {
    from: "vllm-router, a script",
    line: "--policy round_robin --vllm-pd-disaggregation --prefill W1 --decode W3 --host 127.0.0.1 --port 8090 --dp-aware --log-level debug",
    becomes: "serves",
  },
  { from: "vllm-router, Python's levels", line: "--worker-urls W1 --log-level warning", becomes: "serves" },
  {
    from: "production-stack README",
    line: "--port 8000 --service-discovery static --static-backends W1,W2,W3 --static-models sim-1,sim-1,sim-1 --static-aliases gpt4:sim-1 --static-model-types chat,chat,chat --static-backend-health-checks --engine-stats-interval 10 --log-stats --routing-logic roundrobin",
    becomes: "serves",
    notices: [
      "--static-model-types changes nothing: every worker is asked for its health",
      "--static-backend-health-checks changes nothing",
      "--log-stats changes nothing: what is counted is at /metrics",
    ],
  },
  {
    from: "production-stack, a script",
    line: "--port 18090 --service-discovery static --static-backends W1 --static-models sim-1 --static-model-types chat --log-stats --log-stats-interval 10 --engine-stats-interval 10 --request-stats-window 10 --request-stats-window 10 --routing-logic roundrobin",
    becomes: "serves",
    notices: [
      "--static-model-types changes nothing: every worker is asked for its health",
      "--log-stats changes nothing: what is counted is at /metrics",
      "--log-stats-interval changes nothing",
      "--request-stats-window changes nothing",
    ],
  },
  {
    from: "production-stack, pods",
    line: "--port 8001 --service-discovery k8s --k8s-label-selector environment=router,release=router --routing-logic roundrobin --engine-stats-interval 10 --log-stats",
    becomes: "starts",
    notices: ["--log-stats changes nothing: what is counted is at /metrics", "source of workers is away"],
  },
  {
    from: "production-stack, sessions",
    line: "--port 18090 --static-backends W1 --static-models sim-1 --routing-logic session --session-key x-user-id",
    becomes: "serves",
  },
  {
    from: "LiteLLM docs",
    line: "--config LITELLM --port 4000 --detailed_debug",
    becomes: [
      "LITELLM:1:1: unknown key model_list, which is LiteLLM's: here models are what workers serve (initial_workers)",
      "LITELLM:5:1: unknown key litellm_settings, which is LiteLLM's",
    ],
  },
];

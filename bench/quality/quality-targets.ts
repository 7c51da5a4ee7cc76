/** A gateway with a policy. */
export interface QualityTarget {
  /** Its row in the tables. */
  readonly name: string;
  readonly program: "pointsman" | "smg" | "sglang-router" | "vllm-router";
  readonly policy: string;
  /** Whether it is another gateway, or what every gateway can do: the bounds are about the best of these. */
  readonly isPeer: boolean;
}

export const QUALITY_TARGETS: readonly QualityTarget[] = [
  { name: "least_ttft", program: "pointsman", policy: "least_ttft", isPeer: false },
  { name: "cache_aware", program: "pointsman", policy: "cache_aware", isPeer: false },
  { name: "smg", program: "smg", policy: "cache_aware", isPeer: true },
  { name: "sglang-router", program: "sglang-router", policy: "cache_aware", isPeer: true },
  { name: "vllm-router", program: "vllm-router", policy: "cache_aware", isPeer: true },
  { name: "round_robin", program: "pointsman", policy: "round_robin", isPeer: true },
];

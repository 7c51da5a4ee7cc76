import { ALL_TARGETS, ratioBound } from "../lib/bounds.ts";
import { smallJsonSection } from "../lib/json-section.ts";

export const jsonRoundRobin = smallJsonSection({
  name: "json-round-robin",
  policy: "round_robin",
  targets: ALL_TARGETS,
  bounds: [ratioBound("CPU of a small JSON request, `round_robin`, over vllm-router", "cpu", ["vllm-router"], 0.75)],
});

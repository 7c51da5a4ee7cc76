import { CACHE_AWARE_TARGETS, ratioBound } from "../lib/bounds.ts";
import { smallJsonSection } from "../lib/json-section.ts";

export const jsonCacheAware = smallJsonSection({
  name: "json-cache-aware",
  policy: "cache_aware",
  targets: CACHE_AWARE_TARGETS,
  bounds: [ratioBound("CPU of a small JSON request, `cache_aware`, over smg", "cpu", ["smg"], 0.5)],
});

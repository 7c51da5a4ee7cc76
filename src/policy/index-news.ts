import type { CacheNews } from "./policy.ts";
import type { PrefixIndex } from "./prefix-index.ts";

/** Puts news of a worker's KV cache into a policy's index. */
export function tellIndex(index: PrefixIndex, slot: number, news: CacheNews): void {
  switch (news.kind) {
    case "stored":
      index.store(slot, news.hashes);
      return;
    case "removed":
      index.remove(slot, news.hashes);
      return;
    case "exact":
      index.setExact(slot, news.isExact);
      return;
    case "cleared":
      index.clear(slot);
  }
}

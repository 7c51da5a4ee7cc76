import type { Results } from "./results.ts";
import type { Mean } from "./statistics.ts";

/** The Rust gateways of the field. */
export const RUST_PEERS = ["vllm-router", "sglang-router", "smg"] as const;
/** All that can stand before an engine. */
export const ALL_TARGETS = ["pointsman", "nginx", ...RUST_PEERS] as const;
/** Those that choose by prefix. */
export const CACHE_AWARE_TARGETS = ["pointsman", ...RUST_PEERS] as const;

/** A number that we hold ourselves to. */
export interface Bound {
  readonly what: string;
  readonly limit: number;
  /** As it is printed after a number; begins with a blank where one belongs. */
  readonly unit: string;
  /** True where the value must not be less, rather than not more. */
  readonly isFloor?: boolean;
  /** Undefined where it cannot be said: a peer is not installed, or nothing was measured. */
  value(results: Results): number | undefined;
  /** How certain the value is; undefined where nothing is known of that. */
  interval?(results: Results): Pick<Mean, "from" | "to"> | undefined;
}

/** Ours, compared with the best of the peers in the same run. */
export function ratioBound(what: string, metric: string, peers: readonly string[], limit: number): Bound {
  return {
    what,
    limit,
    unit: " x",
    value: (results) => {
      const ours = results.median("pointsman", metric);
      const theirs = peers.flatMap((peer) => results.median(peer, metric) ?? []);
      return ours === undefined || theirs.length === 0 ? undefined : ours / Math.min(...theirs);
    },
  };
}

/** Ours alone. */
export function valueBound(what: string, metric: string, limit: number, unit: string): Bound {
  return { what, limit, unit, value: (results) => results.median("pointsman", metric) };
}

/** PASS, FAIL, or `not measured`, with the numbers. */
export function verdict(bound: Bound, results: Results | undefined): readonly [what: string, text: string, is: string] {
  const value = results && bound.value(results);
  const sign = bound.isFloor ? "≥" : "≤";
  const wanted = `${sign} ${bound.limit}${bound.unit}`;
  if (value === undefined || Number.isNaN(value)) return [bound.what, wanted, "not measured"];
  const isHeld = bound.isFloor ? value >= bound.limit : value <= bound.limit;
  const interval = results && bound.interval?.(results);
  const certain = interval ? ` (${interval.from.toFixed(2)} to ${interval.to.toFixed(2)})` : "";
  return [bound.what, wanted, `${value.toFixed(2)}${bound.unit}${certain} ${isHeld ? "PASS" : "FAIL"}`];
}

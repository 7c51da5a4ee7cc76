import type { Estimate } from "../statistics.ts";

/** A number with about three digits, and `-` where there is none: 0.123, 4.56, 78.9, 1230. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 1 || size === 0 ? value.toFixed(2) : value.toFixed(3);
}

/** A mean of counts: whole where it is whole. */
export function count(value: number): string {
  return Number.isInteger(value) ? String(value) : short(value);
}

/** A share as percent, with one digit after the point. */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : "-";
}

/** A mean with half of its confidence interval, where it has one. */
export function withHalf({ mean, half }: Estimate): string {
  return Number.isFinite(half) ? `${short(mean)} ±${short(half)}` : short(mean);
}

/** A name of so many characters at most. What is left out is in the middle: the options of two policies differ at their ends. */
export function shortName(name: string, most: number): string {
  if (name.length <= most) return name;
  const end = Math.floor((most - 1) / 2);
  return `${name.slice(0, most - 1 - end)}…${name.slice(-end)}`;
}

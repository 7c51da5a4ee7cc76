import type { Outcome } from "./outcome.ts";
import { estimate, type Estimate, geometricMean } from "./statistics.ts";

/** The outcomes of one policy under one load at one rate, one for each seed. */
export interface Cell {
  readonly load: string;
  readonly rate: number;
  readonly policy: string;
  readonly outcomes: readonly Outcome[];
}

/** All policies under one load at one rate, in the order in which they were asked for. */
export interface Group {
  readonly load: string;
  readonly rate: number;
  readonly cells: readonly Cell[];
}

/** Puts the outcomes of a study together by load and rate, and then by policy. */
export function groupsOf(outcomes: readonly Outcome[]): Group[] {
  const byGroup = Map.groupBy(outcomes, ({ load, rate }) => `${load}\n${rate}`);
  return [...byGroup.values()].map((some) => {
    const { load = "", rate = 1 } = some[0] ?? {};
    const byPolicy = Map.groupBy(some, ({ policy }) => policy);
    const cells = [...byPolicy].map(([policy, those]) => ({ load, rate, policy, outcomes: those }));
    return { load, rate, cells };
  });
}

/** A figure of a cell over its seeds. */
export function figure({ outcomes }: Cell, of: (outcome: Outcome) => number): Estimate {
  return estimate(outcomes.map(of));
}

/**
 * Mean TTFT as a ratio to another policy's under the same load, rate and seed, so that what all policies feel of a seed cancels out.
 * undefined where the other policy was not run.
 */
export function ratioTo(baseline: string, cell: Cell, group: Group): Estimate | undefined {
  const other = group.cells.find(({ policy }) => policy === baseline);
  if (!other) return undefined;
  const ratios = cell.outcomes.flatMap(({ seed, summary }) => {
    const same = other.outcomes.find((one) => one.seed === seed);
    return same ? [summary.ttft.mean / same.summary.ttft.mean] : [];
  });
  return ratios.length === 0 ? undefined : estimate(ratios);
}

/** For each policy the geometric mean of its ratios over all groups, and the largest one; the best policy first. */
export function overall(groups: readonly Group[], baseline: string): { policy: string; mean: number; worst: number }[] {
  const policies = [...new Set(groups.flatMap(({ cells }) => cells.map(({ policy }) => policy)))];
  return policies
    .map((policy) => {
      const ratios = groups.flatMap((group) => {
        const cell = group.cells.find((one) => one.policy === policy);
        const ratio = cell && ratioTo(baseline, cell, group);
        return ratio ? [ratio.mean] : [];
      });
      return { policy, mean: geometricMean(ratios), worst: Math.max(...ratios) };
    })
    .filter(({ mean }) => Number.isFinite(mean))
    .sort((a, b) => a.mean - b.mean);
}

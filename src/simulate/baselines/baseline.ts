import type { Policy, PolicyParts } from "../../policy/policy.ts";

/** What an engine reports of itself, as a gateway reads it from its metrics page. */
export interface EngineReport {
  /** Requests that wait for their first step. */
  readonly waiting: number;
  /** Share of the KV cache that running requests use, 0 to 1. */
  readonly kvUsed: number;
}

/** The parts of a baseline: those of a policy, and the engines, for those that ask them. */
export interface BaselineParts extends PolicyParts {
  readonly fleet: { engine(slot: number): EngineReport };
}

/**
 * Another gateway's way to choose a worker, made anew from its published formula. It is a policy like our own, so the simulator judges
 * both alike. Where the other gateway counts what it has sent, it gets exact counts here; where it polls, it polls.
 */
export interface Baseline {
  readonly name: string;
  /** The gateway or paper that published the formula. */
  readonly source: string;
  /** Which worker it chooses, as one line that continues the name. */
  readonly chooses: string;
  readonly create: (parts: BaselineParts) => Policy;
}

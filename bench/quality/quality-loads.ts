/** A load of the comparison, and what is asked for on it. */
export interface QualityLoad {
  /** Its name among the loads of `simulate`; of a trace, its name here and of the option with its file. */
  readonly name: string;
  readonly isTrace?: boolean;
  /** Time in which requests arrive, s. Nothing is left out as warm-up: caches are cold at the beginning, as after a roll-out. */
  readonly seconds: number;
  /** Most that the mean TTFT may be, as a multiple of that of the best other gateway. */
  readonly bound: number;
}

export const QUALITY_LOADS: readonly QualityLoad[] = [
  { name: "agent", seconds: 30, bound: 0.85 },
  { name: "rag", seconds: 30, bound: 0.85 },
  { name: "hetero", seconds: 60, bound: 0.85 },
  { name: "agentslow3", seconds: 30, bound: 0.85 },
  { name: "hotshift", seconds: 130, bound: 0.85 },
  { name: "conversation", isTrace: true, seconds: 60, bound: 0.85 },
  { name: "chat", seconds: 30, bound: 1 },
  { name: "siblings", seconds: 30, bound: 1 },
  { name: "synthetic", isTrace: true, seconds: 60, bound: 1 },
  { name: "unique", seconds: 30, bound: 1.05 },
  { name: "toolagents", seconds: 60, bound: 1.05 },
];

/** Markers that models write around their reasoning. */
const MARKERS: readonly (readonly [start: string, end: string])[] = [
  ["<think>", "</think>"],
  ["<seed:think>", "</seed:think>"],
  ["[THINK]", "[/THINK]"],
  ["<|START_THINKING|>", "<|END_THINKING|>"],
];

/** How a template lets a request switch thinking. */
export interface ThinkingSwitch {
  /** The variable that turns thinking on and off; undefined where the template has none. */
  readonly variable: "enable_thinking" | "thinking" | undefined;
  /** Whether a prompt without the variable turns thinking on, or begins it. */
  readonly isOnByDefault: boolean;
}

/** Whether a generation prompt ends with the beginning of reasoning, so that the answer's first token is reasoning. */
export function endsInReasoning(prompt: string): boolean {
  const end = prompt.slice(-100).trimEnd();
  return MARKERS.some(([start]) => end.endsWith(start));
}

/** Whether a text has begun reasoning and not ended it. */
export function isWithinReasoning(text: string): boolean {
  return MARKERS.some(([start, end]) => text.lastIndexOf(start) > text.lastIndexOf(end));
}

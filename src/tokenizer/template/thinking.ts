/** What models write around their reasoning. */
const MARKERS: readonly (readonly [start: string, end: string])[] = [
  ["<think>", "</think>"],
  ["<seed:think>", "</seed:think>"],
  ["[THINK]", "[/THINK]"],
  ["<|START_THINKING|>", "<|END_THINKING|>"],
];

/** What a template lets a request say of thinking. */
export interface ThinkingSwitch {
  /** The variable that turns it on and off, where the template has one. */
  readonly variable: "enable_thinking" | "thinking" | undefined;
  /** Whether a prompt without the variable asks for thinking, or begins it. */
  readonly isOnByDefault: boolean;
}

/** Whether a generation prompt ends in the beginning of reasoning, so that what follows is reasoning from its first token. */
export function endsInReasoning(prompt: string): boolean {
  const end = prompt.slice(-100).trimEnd();
  return MARKERS.some(([start]) => end.endsWith(start));
}

/** Whether a text has begun to reason and not ended it. */
export function isWithinReasoning(text: string): boolean {
  return MARKERS.some(([start, end]) => text.lastIndexOf(start) > text.lastIndexOf(end));
}

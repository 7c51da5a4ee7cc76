/** Bounds of one run of a template. */
export interface TemplateBudget {
  /** Nodes evaluated, and members looped over. */
  readonly maxSteps: number;
  /** Length of any one string, UTF-16 units. */
  readonly maxChars: number;
  /** Wall time, ms. It is checked between steps; a single step takes 0.2 s at most. */
  readonly maxMs: number;
}

/** A long conversation of 1000 messages takes 0.1 million steps. */
export const DEFAULT_BUDGET: TemplateBudget = { maxSteps: 5_000_000, maxChars: 8 * 1024 * 1024, maxMs: 1000 };

/** Most members of any one list. */
const MAX_MEMBERS = 200_000;
/** Most levels of nested nodes and nested lists; real templates stay below 100. */
const MAX_DEPTH = 500;
/** Characters, and members, that cost as much as one step. */
const CHARS_A_STEP = 256;
const MEMBERS_A_STEP = 64;
/** Steps between two looks at the clock. */
const CLOCK_STEPS = 512;

/** A template exceeds its budget. */
export class TemplateLimit extends Error {}

/** Counts the cost of one run of a template, and ends the run when it exceeds the budget. */
export class Meter {
  readonly #budget: TemplateBudget;
  readonly #deadline: number;
  #steps = 0;
  #nextClock = CLOCK_STEPS;
  #depth = 0;

  constructor(budget: TemplateBudget) {
    this.#budget = budget;
    this.#deadline = performance.now() + budget.maxMs;
  }

  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#budget.maxSteps) throw new TemplateLimit("too many steps");
    if (this.#steps < this.#nextClock) return;
    this.#nextClock = this.#steps + CLOCK_STEPS;
    if (performance.now() > this.#deadline) throw new TemplateLimit("too much time");
  }

  /** Goes one level deeper; `leave` goes back. After an error no `leave` is needed, because the run ends. */
  enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new TemplateLimit("calls or lists within each other without end");
  }

  leave(): void {
    this.#depth -= 1;
  }

  /** Throws TemplateLimit if a string of this length is too long. */
  bound(chars: number): void {
    if (!(chars <= this.#budget.maxChars)) throw new TemplateLimit("too much text");
  }

  /** Counts a string of this length that is about to be made. */
  makeText(chars: number): void {
    this.bound(chars);
    if (chars >= CHARS_A_STEP) this.spend(chars / CHARS_A_STEP);
  }

  /** Counts a string of this length that is about to be read whole. */
  readText(chars: number): void {
    if (chars >= CHARS_A_STEP) this.spend(chars / CHARS_A_STEP);
  }

  /** Counts a list of this length that is about to be made or looped over. */
  members(count: number): void {
    if (!(count <= MAX_MEMBERS)) throw new TemplateLimit("a list too long");
    if (count >= MEMBERS_A_STEP) this.spend(count / MEMBERS_A_STEP);
  }
}

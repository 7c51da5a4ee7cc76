/** What one run of a template may take. */
export interface TemplateBudget {
  /** Nodes evaluated, and members of what is looped over. */
  readonly maxSteps: number;
  /** Of any one string, UTF-16 units. */
  readonly maxChars: number;
  /** By the clock, looked at between steps: a single one takes 0.2 s at most. */
  readonly maxMs: number;
}

/** A long conversation of 1000 messages takes 0.1 million steps. */
export const DEFAULT_BUDGET: TemplateBudget = { maxSteps: 5_000_000, maxChars: 8 * 1024 * 1024, maxMs: 1000 };

/** Members of any one list. */
const MAX_MEMBERS = 200_000;
/** Nodes within nodes, and lists within lists; real templates stay below 100. */
const MAX_DEPTH = 500;
/** Characters, and members, that cost as much as a step. */
const CHARS_A_STEP = 256;
const MEMBERS_A_STEP = 64;
/** Steps between looks at the clock. */
const CLOCK_STEPS = 512;

/** A template wants more than it may have. */
export class TemplateLimit extends Error {}

/** Counts what one run of a template takes, and ends it when that is too much. */
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

  /** One level deeper; `leave` goes back. An error need not: it ends the run. */
  enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new TemplateLimit("calls or lists within each other without end");
  }

  leave(): void {
    this.#depth -= 1;
  }

  /** A string is to be no longer than it may be. */
  bound(chars: number): void {
    if (!(chars <= this.#budget.maxChars)) throw new TemplateLimit("too much text");
  }

  /** A string so long is about to be made. */
  makeText(chars: number): void {
    this.bound(chars);
    if (chars >= CHARS_A_STEP) this.spend(chars / CHARS_A_STEP);
  }

  /** A string so long is about to be read from end to end. */
  readText(chars: number): void {
    if (chars >= CHARS_A_STEP) this.spend(chars / CHARS_A_STEP);
  }

  /** A list so long is about to be made, or gone through. */
  members(count: number): void {
    if (!(count <= MAX_MEMBERS)) throw new TemplateLimit("a list too long");
    if (count >= MEMBERS_A_STEP) this.spend(count / MEMBERS_A_STEP);
  }
}

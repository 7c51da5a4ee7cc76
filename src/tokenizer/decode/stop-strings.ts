export interface StopMatch {
  /** Text that no stop string can take any more. */
  readonly text: string;
  /** The stop string that was met; `text` is the last then. */
  readonly matched?: string;
}

interface State {
  readonly next: Map<number, State>;
  /** State of the longest end of this one's text that some stop string begins with. */
  fallback: State | undefined;
  /** Units of text that this state holds: the longest end of the text so far that may become a stop string. */
  readonly depth: number;
  /** The longest stop string that ends here. */
  matched: string | undefined;
}

function newState(depth: number): State {
  return { next: new Map(), fallback: undefined, depth, matched: undefined };
}

/** Stop strings as an automaton (Aho and Corasick), which reads each unit of text once, however many there are. */
export class StopStrings {
  readonly root: State = newState(0);
  readonly isEmpty: boolean;

  /** Empty strings stop nothing. */
  constructor(strings: readonly string[]) {
    const real = strings.filter((string) => string !== "");
    this.isEmpty = real.length === 0;
    for (const string of real) this.#add(string);
    this.#link();
  }

  #add(string: string): void {
    let state = this.root;
    for (let index = 0; index < string.length; index += 1) {
      const code = string.charCodeAt(index);
      let next = state.next.get(code);
      if (!next) state.next.set(code, (next = newState(index + 1)));
      state = next;
    }
    state.matched = string;
  }

  /** Breadth first, so that what a state falls back to is linked before it. */
  #link(): void {
    const queue = [this.root];
    for (const state of queue) {
      for (const [code, child] of state.next) {
        child.fallback = state === this.root ? this.root : step(state.fallback ?? this.root, code);
        child.matched ??= child.fallback.matched;
        queue.push(child);
      }
    }
  }
}

function step(from: State, code: number): State {
  for (let state: State | undefined = from; state; state = state.fallback) {
    const next = state.next.get(code);
    if (next) return next;
    if (!state.fallback) return state;
  }
  return from;
}

/**
 * Watches the text of one choice for stop strings. The first to be complete counts, and of those that end at one place the
 * longest; so what is found does not depend on how the text was cut. Holds back only what may still become a stop string.
 */
export class StopMatcher {
  readonly #strings: StopStrings;
  readonly #isIncluded: boolean;
  #state: State;
  #held = "";

  /** `isIncluded`: whether the stop string itself stays in the text. */
  constructor(strings: StopStrings, isIncluded = false) {
    this.#strings = strings;
    this.#isIncluded = isIncluded;
    this.#state = strings.root;
  }

  /** Not to be called again once something matched. */
  push(text: string): StopMatch {
    if (this.#strings.isEmpty) return { text };
    const all = this.#held + text;
    for (let index = this.#held.length; index < all.length; index += 1) {
      this.#state = step(this.#state, all.charCodeAt(index));
      const matched = this.#state.matched;
      if (matched === undefined) continue;
      this.#held = "";
      return { text: all.slice(0, index + 1 - (this.#isIncluded ? 0 : matched.length)), matched };
    }
    const end = all.length - this.#state.depth;
    this.#held = all.slice(end);
    return { text: all.slice(0, end) };
  }

  /** What was held back: the text is at its end, so it is no stop string. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    this.#state = this.#strings.root;
    return text;
  }
}

interface StopMatch {
  /** Text that can no longer be part of a stop string. */
  readonly text: string;
  /** The stop string that was found; `text` is then the last text. */
  readonly matched?: string;
}

interface State {
  readonly next: Map<number, State>;
  /** The state of the longest proper suffix of this state's text that begins a stop string. */
  fallback: State | undefined;
  /** Number of units that this state holds: the longest suffix of the text so far that may become a stop string. */
  readonly depth: number;
  /** The longest stop string that ends here. */
  matched: string | undefined;
}

function newState(depth: number): State {
  return { next: new Map(), fallback: undefined, depth, matched: undefined };
}

/** Stop strings as an automaton (Aho-Corasick). It reads each unit of text once for any number of strings. */
export class StopStrings {
  readonly root: State = newState(0);
  readonly isEmpty: boolean;

  /** Empty strings are ignored. */
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

  /** Links the fallbacks breadth first, because a state's fallback must be linked before the state. */
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
 * Searches the text of one choice for stop strings. The first complete one counts, and the longest of those that end at one
 * place, so the result does not depend on how the text was cut. It holds back only text that may become a stop string.
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

  /** Takes more text. Do not call it again after a match. */
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

  /** Ends the text and returns the part that was held back, which is not a stop string. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    this.#state = this.#strings.root;
    return text;
  }
}

/** A token outside of the model's vocabulary. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly isSpecial: boolean;
  /** Whether it is searched in the normalised text. */
  readonly isNormalized: boolean;
  /** Whether it absorbs white space before or after it, or only matches as a whole word. */
  readonly stripsLeft: boolean;
  readonly stripsRight: boolean;
  readonly isSingleWord: boolean;
}

interface TrieNode {
  readonly next: Map<number, TrieNode>;
  id: number;
}

/** Finds tokens in text like the native splitter: the leftmost match, and the longest at one place. */
export class TokenFinder {
  readonly #root: TrieNode = { next: new Map(), id: -1 };
  /** Matches any character that begins a token; undefined where there are no tokens. */
  readonly #first: RegExp | undefined;
  /** Begin and end of the last match, and its id. */
  start = 0;
  end = 0;
  id = -1;

  constructor(tokens: readonly AddedToken[]) {
    const firsts = new Set<string>();
    for (const token of tokens) {
      if (token.content === "") continue;
      this.#add(token);
      firsts.add(`\\u${token.content.charCodeAt(0).toString(16).padStart(4, "0")}`);
    }
    this.#first = firsts.size > 0 ? new RegExp(`[${[...firsts].join("")}]`, "g") : undefined;
  }

  #add({ content, id }: AddedToken): void {
    let node = this.#root;
    for (let index = 0; index < content.length; index += 1) {
      const code = content.charCodeAt(index);
      let child = node.next.get(code);
      if (!child) node.next.set(code, (child = { next: new Map(), id: -1 }));
      node = child;
    }
    node.id = id;
  }

  /** Sets `start`, `end` and `id` to the first token at or after `from`. */
  next(text: string, from: number): boolean {
    const first = this.#first;
    if (!first) return false;
    first.lastIndex = from;
    while (first.test(text)) {
      if (this.#longestAt(text, first.lastIndex - 1)) return true;
    }
    return false;
  }

  #longestAt(text: string, at: number): boolean {
    let node: TrieNode | undefined = this.#root;
    this.id = -1;
    for (let index = at; index < text.length; index += 1) {
      node = node.next.get(text.charCodeAt(index));
      if (!node) break;
      if (node.id < 0) continue;
      this.start = at;
      this.end = index + 1;
      this.id = node.id;
    }
    return this.id >= 0;
  }
}

/** Where a member's value stands in the bytes: from its first byte to after its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A member of an object, with the place of its value. */
export interface Member extends Span {
  readonly name: string;
  /** Commas of the value's own level, where it is a list or an object; NaN where it has numbers, whose commas are skipped unseen. */
  readonly commas: number;
}

/** Up to so many members a loop over them finds a name faster than a map does, and nothing has to be built first. */
const FEW = 24;

/** The members of one object, in their order. No two have the same name. */
export class Members {
  readonly #list: Member[] = [];
  /** By name; undefined while the members are few. */
  #byName: Map<string, Member> | undefined;

  get size(): number {
    return this.#list.length;
  }

  /** The members in the order of the body. */
  get list(): readonly Member[] {
    return this.#list;
  }

  get(name: string): Member | undefined {
    if (this.#byName) return this.#byName.get(name);
    for (const member of this.#list) if (member.name === name) return member;
    return undefined;
  }

  /** False, and nothing is added, where there is a member of this name. */
  add(member: Member): boolean {
    if (this.get(member.name)) return false;
    this.#list.push(member);
    if (this.#byName) this.#byName.set(member.name, member);
    else if (this.#list.length > FEW) this.#byName = new Map(this.#list.map((one) => [one.name, one]));
    return true;
  }

  /** Names and places, as a map has them. */
  *[Symbol.iterator](): Generator<[name: string, span: Span], void, void> {
    for (const member of this.#list) yield [member.name, member];
  }
}

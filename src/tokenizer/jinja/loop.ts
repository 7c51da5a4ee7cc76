import { equals } from "./compare.ts";
import type { Meter } from "./meter.ts";
import { Callable, HostObject, type CallArguments, TemplateError, Undefined, type Value } from "./values.ts";

/** Runs the body of a recursive loop over other members, and returns its text. */
type Recursion = (items: Value, depth: number) => string;

/** The variable `loop` within a loop. */
export class LoopVariable extends HostObject {
  readonly typeName = "LoopContext";
  readonly #items: readonly Value[];
  readonly #depth: number;
  readonly #meter: Meter;
  readonly recurse: Recursion | undefined;
  #lastChanged: readonly Value[] | undefined;
  index = 0;

  constructor(items: readonly Value[], depth: number, meter: Meter, recurse?: Recursion) {
    super();
    this.#items = items;
    this.#depth = depth;
    this.#meter = meter;
    this.recurse = recurse;
  }

  get depth(): number {
    return this.#depth;
  }

  attribute(name: string): Value | undefined {
    const { length } = this.#items;
    switch (name) {
      case "index":
        return this.index + 1;
      case "index0":
        return this.index;
      case "revindex":
        return length - this.index;
      case "revindex0":
        return length - this.index - 1;
      case "first":
        return this.index === 0;
      case "last":
        return this.index === length - 1;
      case "length":
        return length;
      case "depth":
        return this.#depth + 1;
      case "depth0":
        return this.#depth;
      case "previtem":
        return this.#neighbour(this.index - 1);
      case "nextitem":
        return this.#neighbour(this.index + 1);
      case "cycle":
        return new Callable(name, (args) => this.#cycle(args));
      case "changed":
        return new Callable(name, (args) => this.#changed(args));
      default:
        return undefined;
    }
  }

  #neighbour(index: number): Value {
    const item = this.#items[index];
    return item === undefined ? new Undefined("there is no such item in the loop") : item;
  }

  #cycle({ positional }: CallArguments): Value {
    const value = positional[this.index % positional.length];
    if (value === undefined) throw new TemplateError("no items for cycling given");
    return value;
  }

  #changed({ positional }: CallArguments): boolean {
    const last = this.#lastChanged;
    this.#lastChanged = positional;
    return !last || !equals(last, positional, this.#meter);
  }
}

/** The result of `joiner()`: the first call returns "", later calls the separator. */
export function joiner(separator: string): Callable {
  let isFirst = true;
  return new Callable("joiner", () => {
    const text = isFirst ? "" : separator;
    isFirst = false;
    return text;
  });
}

/** The result of `cycler()`. */
export class Cycler extends HostObject {
  readonly typeName = "Cycler";
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw new TemplateError("at least one item has to be provided");
    this.#items = items;
  }

  attribute(name: string): Value | undefined {
    if (name === "current") return this.#items[this.#at];
    if (name === "next") return new Callable(name, () => this.#next());
    if (name !== "reset") return undefined;
    return new Callable(name, () => {
      this.#at = 0;
      return null;
    });
  }

  #next(): Value {
    const item = this.#items[this.#at] ?? null;
    this.#at = (this.#at + 1) % this.#items.length;
    return item;
  }
}

import { Undefined, type Value } from "./values.ts";

/** Variables of a block, and those of the blocks around it. */
export class Scope {
  readonly #parent: Scope | undefined;
  readonly #variables: Map<string, Value>;

  constructor(parent: Scope | undefined, variables: Map<string, Value> = new Map()) {
    this.#parent = parent;
    this.#variables = variables;
  }

  get(name: string): Value {
    let value = this.#variables.get(name);
    for (let scope = this.#parent; scope && value === undefined; scope = scope.#parent)
      value = scope.#variables.get(name);
    return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}

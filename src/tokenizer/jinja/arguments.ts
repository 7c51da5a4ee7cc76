import { type CallArguments, isInteger, isTrue, TemplateError, typeName, Undefined, type Value } from "./values.ts";

/** The arguments of a call by parameter name, read as the types that the callee needs. */
export class Arguments {
  readonly #name: string;
  readonly #values = new Map<string, Value>();

  /** Throws TemplateError for more arguments than parameters, or for an argument of an unknown name. */
  constructor(name: string, parameters: readonly string[], { positional, named }: CallArguments) {
    this.#name = name;
    if (positional.length > parameters.length) {
      throw new TemplateError(`${name}() takes at most ${parameters.length} arguments (${positional.length} given)`);
    }
    positional.forEach((value, index) => this.#values.set(parameters[index] ?? "", value));
    for (const [key, value] of named) {
      if (!parameters.includes(key)) throw new TemplateError(`${name}() got an unexpected keyword argument '${key}'`);
      if (this.#values.has(key)) throw new TemplateError(`${name}() got multiple values for argument '${key}'`);
      this.#values.set(key, value);
    }
  }

  /** JavaScript's undefined where the call does not pass it. */
  optional(parameter: string): Value | undefined {
    return this.#values.get(parameter);
  }

  /** The given value, which may be none; `otherwise` where the call does not pass it. */
  or(parameter: string, otherwise: Value): Value {
    const value = this.#values.get(parameter);
    return value === undefined ? otherwise : value;
  }

  /** JavaScript's undefined where the call does not pass it, or passes none. */
  some(parameter: string): Value | undefined {
    return this.#values.get(parameter) ?? undefined;
  }

  value(parameter: string): Value {
    const value = this.#values.get(parameter);
    if (value === undefined) throw new TemplateError(`${this.#name}() is missing the argument '${parameter}'`);
    return value;
  }

  text(parameter: string, otherwise?: string): string {
    const value = otherwise === undefined ? this.value(parameter) : this.or(parameter, otherwise);
    if (typeof value === "string") return value;
    throw this.#wrong(parameter, "str", value);
  }

  whole(parameter: string, otherwise?: number): number {
    const value = otherwise === undefined ? this.value(parameter) : this.or(parameter, otherwise);
    if (isInteger(value)) return Number(value);
    throw this.#wrong(parameter, "int", value);
  }

  flag(parameter: string): boolean {
    return isTrue(this.optional(parameter) ?? false);
  }

  #wrong(parameter: string, wanted: string, value: Value): TemplateError {
    if (value instanceof Undefined) return value.error;
    return new TemplateError(`${this.#name}() argument '${parameter}' must be ${wanted}, not ${typeName(value)}`);
  }
}

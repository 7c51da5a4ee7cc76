/** A value that never prints. Only `reveal` and `bearer` give it out; search for them to see which code reads secrets. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  /** The value of an `authorization` header that carries it. */
  bearer(): string {
    return `Bearer ${this.#value}`;
  }

  toJSON(): string {
    return "[redacted]";
  }

  toString(): string {
    return "[redacted]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }
}

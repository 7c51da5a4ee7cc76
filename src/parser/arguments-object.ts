import type { PieceWriter } from "./piece-writer.ts";

/** Writes the JSON object of arguments that the model gives one by one. */
export class ArgumentsObject {
  readonly #writer: PieceWriter;
  readonly #keys = new Set<string>();

  constructor(writer: PieceWriter) {
    this.#writer = writer;
  }

  key(key: string): void {
    this.#writer.arguments(`${this.isEmpty ? "{" : ","}${JSON.stringify(key)}:`);
    this.#keys.add(key);
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0;
  }

  /** The key was written. */
  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** JSON, or a fragment of it, of the value whose key was written last. */
  value(json: string): void {
    this.#writer.arguments(json);
  }

  end(): void {
    this.#writer.arguments(this.isEmpty ? "{}" : "}");
  }
}

import type { PieceWriter } from "./piece-writer.ts";

/** Writes the JSON object of arguments, as the model gives them one by one. */
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

  /** Whether the key has been written. */
  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Writes JSON, or a fragment of it, for the value of the last key. */
  value(json: string): void {
    this.#writer.arguments(json);
  }

  end(): void {
    this.#writer.arguments(this.isEmpty ? "{}" : "}");
  }
}

import type { PieceWriter } from "./piece-writer.ts";

/** Writes the JSON object of arguments that the model gives one by one. */
export class ArgumentsObject {
  readonly #writer: PieceWriter;
  #isOpen = false;

  constructor(writer: PieceWriter) {
    this.#writer = writer;
  }

  key(key: string): void {
    this.#writer.arguments(`${this.#isOpen ? "," : "{"}${JSON.stringify(key)}:`);
    this.#isOpen = true;
  }

  /** JSON, or a fragment of it, of the value whose key was written last. */
  value(json: string): void {
    this.#writer.arguments(json);
  }

  end(): void {
    this.#writer.arguments(this.#isOpen ? "}" : "{}");
  }
}

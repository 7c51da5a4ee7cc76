import { ROLE, type TemplateNode } from "./template-program.ts";

interface Frame {
  readonly type: string;
  /** What its statements have written so far. */
  text: string;
  /** A loop of which a turn ended early. */
  isCut: boolean;
}

/** Nodes within which statements are run. */
const OWNERS: ReadonlySet<string> = new Set([
  "Program",
  "If",
  "For",
  "Set",
  "CallExpression",
  "CallStatement",
  "FilterStatement",
]);

/**
 * Keeps what each body of a template has written. The package forgets what a turn of a loop had written before `break` or
 * `continue`; Jinja does not. Used for templates that have them.
 */
export class WrittenText {
  readonly #frames: Frame[] = [];

  /** A node is about to be run. */
  enter({ type }: TemplateNode): void {
    if (OWNERS.has(type)) this.#frames.push({ type, text: "", isCut: false });
    if (type === "Break" || type === "Continue") this.#cut();
  }

  /** It has been run; returns the text of a loop that was cut. */
  leave({ type }: TemplateNode): string | undefined {
    if (!OWNERS.has(type)) return undefined;
    const frame = this.#frames.pop();
    return type === "For" && frame?.isCut === true ? frame.text : undefined;
  }

  /** It was left by an error or a jump: what an `if` has written still stands. */
  abandon({ type }: TemplateNode): void {
    if (!OWNERS.has(type)) return;
    const frame = this.#frames.pop();
    if (type === "If" && frame) this.#append(frame.text);
  }

  /** A statement of the innermost body has written this. */
  add(text: string, role: number): void {
    // The package runs the `else` of a loop of which every turn was cut.
    if (role & ROLE.otherwise && this.#frames.at(-1)?.isCut === true) return;
    this.#append(text);
  }

  #append(text: string): void {
    const frame = this.#frames.at(-1);
    if (frame) frame.text += text;
  }

  #cut(): void {
    const loop = this.#frames.findLast((frame) => frame.type === "For");
    if (loop) loop.isCut = true;
  }
}

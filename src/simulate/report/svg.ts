/** Text as it may stand in HTML and SVG. */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** A text in a drawing. */
export function label(x: number, y: number, text: string, attributes = ""): string {
  return `<text x="${place(x)}" y="${place(y)}"${attributes === "" ? "" : ` ${attributes}`}>${escaped(text)}</text>`;
}

/** A coordinate with one digit after the point: more is not seen, and makes pages large. */
export function place(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** How the lines of policies look, in the order in which they are asked for: classes of the style sheet. */
export class SeriesStyles {
  readonly #classes = new Map<string, string>();

  /** `dashed` is the policy that the others are compared with. */
  constructor(policies: readonly string[], dashed: string) {
    let next = 0;
    for (const policy of policies) {
      if (policy === dashed) this.#classes.set(policy, "base");
      else {
        this.#classes.set(policy, next < COLORS ? `s${next}` : "other");
        next += 1;
      }
    }
  }

  of(policy: string): string {
    return this.#classes.get(policy) ?? "other";
  }
}

/** Policies with a color of their own; further ones are grey. */
const COLORS = 8;

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

/** A drawing as a file of its own, with its style sheet: it is readable in a light and in a dark page. */
export function standalone(drawing: string, style: string): string {
  return `${drawing.replace(">", ` xmlns="http://www.w3.org/2000/svg"><style>${style}</style>`)}\n`;
}

/** Several drawings in rows of one drawing, each with this width and height. */
export function tiled(drawings: readonly string[], columns: number, width: number, height: number): string {
  const rows = Math.ceil(drawings.length / columns);
  const tiles = drawings.map((drawing, index) => {
    const [x, y] = [(index % columns) * (width + TILE_GAP), Math.floor(index / columns) * (height + TILE_GAP)];
    return drawing.replace("<svg ", `<svg x="${x}" y="${y}" width="${width}" height="${height}" `);
  });
  const size = `${columns * (width + TILE_GAP) - TILE_GAP} ${rows * (height + TILE_GAP) - TILE_GAP}`;
  return `<svg viewBox="0 0 ${size}" role="group">${tiles.join("")}</svg>`;
}

const TILE_GAP = 20;

import { withoutControls } from "../observability/log-line.ts";

/**
 * Rows as lines whose columns stand below each other, two spaces apart. The first row is usually the head. Control characters are written
 * as escapes: a worker names its models, and must not steer the terminal of who looks at them.
 */
export function textTable(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(withoutControls));
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_none, index) =>
    Math.max(...rows.map((row) => row[index]?.length ?? 0)),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, index) => cell.padEnd(widths[index] ?? 0));
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}

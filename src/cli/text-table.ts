/** Rows as lines whose columns stand below each other, two spaces apart. The first row is usually the head. */
export function textTable(rows: readonly (readonly string[])[]): string {
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

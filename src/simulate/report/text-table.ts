/** A column of a table: its head, and on which side its cells stand. */
export interface Column {
  readonly head: string;
  readonly align: "left" | "right";
}

/** A table for a terminal: cells in columns, and a line under the heads. Each line ends with a line break. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ head }, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const lineOf = (cells: readonly string[]): string =>
    columns
      .map(({ align }, at) => {
        const cell = cells[at] ?? "";
        return align === "left" ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
      })
      .join("  ")
      .trimEnd();
  const head = lineOf(columns.map((column) => column.head));
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return `${[head, rule, ...rows.map(lineOf)].join("\n")}\n`;
}

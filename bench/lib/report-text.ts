import { verdict } from "./bounds.ts";
import { median } from "./statistics.ts";
import { Results } from "./results.ts";
import type { Section } from "./section.ts";

/** What is known of the sections, as Markdown: the bounds first, then a table a section. */
export function report(sections: readonly Section[]): string {
  const known = sections.map((section) => ({ section, results: Results.read(section.name) }));
  const bounds = known.flatMap(({ section, results }) => section.bounds.map((bound) => verdict(bound, results)));
  return [
    "## Bounds",
    "",
    "| what | bound | measured |",
    "|---|---|---|",
    ...bounds.map((cells) => row(cells)),
    ...known.flatMap(({ section, results }) => (results ? ["", ...sectionLines(section, results)] : [])),
    "",
  ].join("\n");
}

function sectionLines({ title, note, columns }: Section, results: Results): string[] {
  return [
    `## ${title}`,
    "",
    note,
    circumstances(results),
    "",
    row(["", ...columns.map((column) => column.title)]),
    row(["---", ...columns.map(() => "---")]),
    ...results.rows.map((name) =>
      row([name, ...columns.map(({ metric, digits }) => cell(results.values(name, metric), digits))]),
    ),
  ];
}

function circumstances({ start, end, failures }: Results): string {
  const failed = failures.reduce((sum, { count }) => sum + count, 0);
  const who = [...new Set(failures.map((failure) => failure.row))].join(", ");
  const rounds = end ? `${end.rounds} rounds in ${end.seconds.toFixed(0)} s` : "cut off";
  const load = `load average before ${start?.load.toFixed(2)}, after ${end?.load.toFixed(2) ?? "?"}`;
  return `${start?.at.slice(0, 10)}, ${rounds}, ${load}; failed requests: ${failed}${who ? ` (${who})` : ""}. Median (min-max).`;
}

function cell(values: readonly number[], digits: number): string {
  if (values.length === 0) return "";
  const show = (value: number): string =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const middle = show(median(values));
  if (values.length === 1) return middle;
  return `${middle} (${show(Math.min(...values))}-${show(Math.max(...values))})`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

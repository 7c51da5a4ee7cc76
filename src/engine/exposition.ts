/** A sample of a page in Prometheus' text format. */
interface Sample {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of one metric. Lines that are none are passed over. */
export function samplesOf(page: string, metric: string): Sample[] {
  const samples: Sample[] = [];
  for (let at = page.indexOf(metric); at >= 0; at = page.indexOf(metric, at + metric.length)) {
    const isLineStart = at === 0 || page[at - 1] === "\n";
    const after = page[at + metric.length];
    if (!isLineStart || (after !== "{" && after !== " ")) continue;
    const end = page.indexOf("\n", at);
    const line = page.slice(at + metric.length, end < 0 ? undefined : end).trim();
    const close = line.lastIndexOf("}");
    const [value = ""] = line
      .slice(close + 1)
      .trim()
      .split(/\s+/);
    samples.push({ labels: labelsOf(line.slice(0, close + 1)), value: Number(value) });
  }
  return samples;
}

function labelsOf(text: string): Map<string, string> {
  return new Map(Array.from(text.matchAll(LABEL), ([, name = "", value = ""]) => [name, value]));
}

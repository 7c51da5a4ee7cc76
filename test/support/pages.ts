import { Glob } from "bun";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** A fenced block of a page. */
export interface PageBlock {
  /** First line of the block in its page, from 1. */
  readonly line: number;
  /** What stands behind the fence: a language, and a word on how the block is checked. */
  readonly kind: string;
  /** Its text, without the indentation of the fence. */
  readonly text: string;
}

/** How the block of each kind is checked. A block of any other kind is a mistake of its page. */
export const BLOCK_KINDS = {
  sh: "is run to its end, and must succeed",
  "sh background": "starts a gateway that becomes ready and runs until the next such block",
  "sh cluster": "wants a cluster: the files, flags and values of the chart that it names must be there",
  "sh elsewhere": "wants a registry, a daemon or minutes: the scripts, files and flags that it names must be there",
  "sh engine": "starts an engine, which is not here: nothing in it is the gateway's",
  yaml: "is a configuration of the gateway or a list of workers, and valid; where it begins with the name of a file, commands behind it find that file",
  "yaml prometheus": "is a part of Prometheus' configuration: the metrics that it names must be there",
  promql: "the metrics that it names must be there",
  json: "is JSON",
  ts: "is a file of `examples/`, which tests run",
  python: "is run where POINTSMAN_PYTHON_OPENAI names a Python that has `openai`",
  text: "is no command: a picture, or output",
} as const;

/** The name of the file that a block is, by the comment in its first line; undefined where it has none. */
export function fileNameOf(kind: string, text: string): string | undefined {
  return kind === "yaml" ? /^# ([\w./-]+\.yaml)$/m.exec(text.split("\n", 1)[0] ?? "")?.[1] : undefined;
}

/** Every page of the project, by looking: paths from its root. */
export function pagePaths(): string[] {
  return [...new Glob("**/*.md").scanSync({ cwd: ROOT, dot: false })]
    .filter((path) => !path.split("/").includes("node_modules") && path !== "CHANGELOG.md")
    .sort();
}

export function readPage(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The fenced blocks of a page in their order, those in comments too. */
export function blocksOf(page: string): PageBlock[] {
  return Array.from(page.matchAll(/^( *)```([^\n`]*)\n([\s\S]*?)^\1```$/gm), (match) => {
    const [, indent = "", kind = "", text = ""] = match;
    return {
      line: page.slice(0, match.index).split("\n").length + 1,
      kind: kind.trim(),
      text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    };
  });
}

/** What stands in backticks within the sentences and tables of a page. */
export function codeSpansOf(page: string): string[] {
  const sentences = page.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "");
  return Array.from(sentences.matchAll(/`([^`\n]+)`/g), ([, text = ""]) => text);
}

/** Links of a page to files of the project: path and anchor, each empty where it is not given. */
export function linksOf(page: string): { readonly path: string; readonly anchor: string }[] {
  const sentences = page.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "");
  return Array.from(sentences.matchAll(/\]\(([^)\s#]*)(?:#([^)\s]*))?\)/g), ([, path = "", anchor = ""]) => ({
    path,
    anchor,
  })).filter(({ path }) => !/^[a-z]+:/.test(path));
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(page: string): string[] {
  const sentences = page.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "");
  return Array.from(sentences.matchAll(/^#+ (.+)$/gm), ([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

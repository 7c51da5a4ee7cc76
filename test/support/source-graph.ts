import { Glob } from "bun";
import { dirname, join, relative } from "node:path";

/** Path of a file below `src/`, with `/` between folders: `router/retry.ts`. */
export type SourcePath = string;

/** One production file of `src/`. */
export interface SourceFile {
  readonly path: SourcePath;
  readonly text: string;
  /** Number of lines. */
  readonly lines: number;
  /** The files of `src/` that it imports, types included, each once. */
  readonly imports: readonly SourcePath[];
}

const IMPORT = /(?:from|import)\s*\(?\s*"(\.[^"]+)"/g;

/** All files of `root`, except tests. The import of the package's manifest is left out; other imports that leave `root` begin with `../`. */
export async function readSources(root: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for await (const path of new Glob("**/*.ts").scan(root)) {
    if (path.endsWith(".test.ts")) continue;
    const text = await Bun.file(join(root, path)).text();
    const targets = Array.from(text.matchAll(IMPORT), ([, target = ""]) =>
      relative(root, join(root, dirname(path), target)),
    );
    const imports = [...new Set(targets)].filter((target) => target !== "../package.json");
    files.push({ path, text, lines: text.split("\n").length - 1, imports });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Imports of values, which load a module as soon as the file is loaded; not those of types, and not `import()` or `require()`. */
const VALUE_IMPORT = /^(?:import|export) (?!type\b)(?:[^"';]*? from )?"([^"]+)";$/gm;

/** The files and the modules of the runtime (`node:tls`) that are loaded with `entry`: its imports of values, their imports, and so on. */
export function loadedFrom(
  files: readonly Pick<SourceFile, "path" | "text">[],
  entry: SourcePath,
): ReadonlySet<string> {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const loaded = new Set<string>();
  const open = [entry];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (loaded.has(path)) continue;
    loaded.add(path);
    for (const [, target = ""] of (texts.get(path) ?? "").matchAll(VALUE_IMPORT)) {
      open.push(target.startsWith(".") ? join(dirname(path), target) : target);
    }
  }
  return loaded;
}

/** Groups of two or more files in which each file imports each other one, directly or through others. Each group is sorted. */
export function importCycles(files: readonly Pick<SourceFile, "path" | "imports">[]): SourcePath[][] {
  return new CycleSearch(new Map(files.map(({ path, imports }) => [path, imports]))).run();
}

/** Paths that no chain of imports from one of `entries` reaches. */
export function unreachable(
  files: readonly Pick<SourceFile, "path" | "imports">[],
  entries: readonly SourcePath[],
): SourcePath[] {
  const importsOf = new Map(files.map(({ path, imports }) => [path, imports]));
  const reached = new Set<SourcePath>();
  const open = [...entries];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    open.push(...(importsOf.get(path) ?? []));
  }
  return files.map(({ path }) => path).filter((path) => !reached.has(path));
}

/** Tarjan's algorithm for strongly connected components. */
class CycleSearch {
  readonly #importsOf: ReadonlyMap<SourcePath, readonly SourcePath[]>;
  /** Files in the order of their first visit. */
  readonly #index = new Map<SourcePath, number>();
  readonly #stack: SourcePath[] = [];
  readonly #cycles: SourcePath[][] = [];

  constructor(importsOf: ReadonlyMap<SourcePath, readonly SourcePath[]>) {
    this.#importsOf = importsOf;
  }

  run(): SourcePath[][] {
    for (const path of this.#importsOf.keys()) if (!this.#index.has(path)) this.#visit(path);
    return this.#cycles;
  }

  #visit(path: SourcePath): number {
    const index = this.#index.size;
    let lowest = index;
    this.#index.set(path, index);
    this.#stack.push(path);
    for (const target of this.#importsOf.get(path) ?? []) {
      if (!this.#index.has(target)) lowest = Math.min(lowest, this.#visit(target));
      else if (this.#stack.includes(target)) lowest = Math.min(lowest, this.#index.get(target) ?? lowest);
    }
    if (lowest === index) this.#close(path);
    return lowest;
  }

  #close(path: SourcePath): void {
    const component = this.#stack.splice(this.#stack.indexOf(path));
    if (component.length > 1) this.#cycles.push(component.sort());
  }
}

/** An export of a production file. */
export interface SourceExport {
  readonly path: SourcePath;
  readonly kind: string;
  readonly name: string;
  readonly isDocumented: boolean;
}

const EXPORT = /^export (?:abstract |async |declare )*(class|function\*?|interface|type|const) (\w+)/;

/** The exports that a file declares itself, and whether a docstring stands above each. */
export function exportsOf({ path, text }: Pick<SourceFile, "path" | "text">): SourceExport[] {
  const lines = text.split("\n");
  return lines.flatMap((line, at) => {
    const [, kind, name] = EXPORT.exec(line) ?? [];
    if (kind === undefined || name === undefined) return [];
    let above = at - 1;
    while (/^\s*(?:@|\/\/ oxlint)/.test(lines[above] ?? "")) above -= 1;
    return [{ path, kind, name, isDocumented: /\*\/\s*$/.test(lines[above] ?? "") }];
  });
}

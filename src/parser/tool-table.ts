import { ArgumentSchema } from "./argument-schema.ts";
import type { DeclaredTool } from "./output-parser.ts";

/** The tools of a request, by name. */
export class ToolTable {
  readonly #tools: readonly DeclaredTool[];
  #byName: ReadonlyMap<string, DeclaredTool> | undefined;

  constructor(tools: readonly DeclaredTool[]) {
    this.#tools = tools;
  }

  /** Name of the only tool; undefined where there are several or none. */
  get onlyName(): string | undefined {
    return this.#tools.length === 1 ? this.#tools[0]?.name : undefined;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** The schema of a tool's arguments; an empty one where the tool has none. */
  schemaOf(name: string): ArgumentSchema {
    const schema = this.#find(name)?.parameters;
    return new ArgumentSchema([schema], schema);
  }

  #find(name: string): DeclaredTool | undefined {
    this.#byName ??= new Map(this.#tools.map((tool) => [tool.name, tool]));
    return this.#byName.get(name);
  }
}

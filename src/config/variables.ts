import type { Document, Node } from "yaml";
import { camelCase } from "../util/case.ts";
import type { ConfigProblem } from "./config-error.ts";
import { typeAt } from "../util/wrong-value.ts";
import { coerceAs } from "./options.ts";
import { configSchema } from "./schema.ts";
import { yaml } from "./yaml.ts";

/** What a text of configuration may take from outside of it. */
export interface Outside {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the text may name, variables as `${NAME}` and files by their path; undefined: anything. */
  readonly allowed?: ReadonlySet<string> | undefined;
}

/** What was filled in. */
export interface Filled {
  readonly problems: readonly ConfigProblem[];
  /** The variables of each filled scalar, by the place of the scalar in the text. */
  readonly byOffset: ReadonlyMap<number, readonly string[]>;
}

/** `$${` stands for `${` itself. */
const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g;
const NAME = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;
/** Variables in the forms of shells and other configuration files, which are not filled. */
const OTHER_FORM = /^\$([A-Za-z_]\w*)$|^os\.environ\/(\w+)/;

/**
 * Fills `${NAME}` and `${NAME:-default}` in the values of a document, in place. An empty variable counts as not set, as everywhere. A
 * filled value has the type that the option at its place wants; what a variable holds is never read as YAML.
 */
export function fillVariables(document: Document, outside: Outside, at: (offset: number) => string): Filled {
  const problems: ConfigProblem[] = [];
  const byOffset = new Map<number, readonly string[]>();
  yaml().visit(document, {
    Scalar(key, node, ancestors) {
      const { value, range } = node;
      if (typeof value !== "string" || !/\$|^os\.environ/.test(value)) return undefined;
      const offset = range?.[0] ?? 0;
      const filler = new Filler(outside, (message) => problems.push({ where: at(offset), message }));
      const filled = filler.fill(value, key === "key");
      if (filled === undefined) return undefined;
      if (filler.used.length > 0) byOffset.set(offset, filler.used);
      const replaced = coerceAs(typeAt(configSchema, pathOf(ancestors, node)), filled);
      if (!Array.isArray(replaced)) {
        node.value = replaced;
        return undefined;
      }
      const list: Node = document.createNode(replaced);
      if (range) list.range = range;
      return list;
    },
  });
  return { problems, byOffset };
}

/** Fills one text, and keeps the names of the variables. */
class Filler {
  readonly used: string[] = [];
  readonly #outside: Outside;
  readonly #tell: (message: string) => void;

  constructor(outside: Outside, tell: (message: string) => void) {
    this.#outside = outside;
    this.#tell = tell;
  }

  /** undefined where nothing is to be filled, or something cannot be. */
  fill(text: string, isKey: boolean): string | undefined {
    const [whole, shell, python] = OTHER_FORM.exec(text) ?? [];
    if (whole !== undefined) {
      const name = shell ?? python ?? "";
      this.#tell(`${whole} would be taken as it stands: a variable is written \${${name}}`);
      return undefined;
    }
    let isFilled = false;
    let isWrong = false;
    const filled = text.replaceAll(REFERENCE, (reference: string, inner: string | undefined) => {
      isFilled = true;
      if (inner === undefined) return "${";
      const value = isKey
        ? this.#refuse(`${reference} stands in a key: only values are filled`)
        : this.#value(reference, inner);
      isWrong ||= value === undefined;
      return value ?? "";
    });
    return isFilled && !isWrong ? filled : undefined;
  }

  #value(reference: string, inner: string): string | undefined {
    const [, name, fallback] = reference.endsWith("}") ? (NAME.exec(inner) ?? []) : [];
    if (name === undefined) {
      return this.#refuse(
        `${reference} is no variable: write \${NAME}, or \${NAME:-default}; $\${ stands for \${ itself`,
      );
    }
    const { env, allowed } = this.#outside;
    if (allowed && !allowed.has(`\${${name}}`)) {
      return this.#refuse(
        `\${${name}} is not used by the gateway's own file, so a document from elsewhere may not use it`,
      );
    }
    const value = env[name];
    this.used.push(`\${${name}}`);
    if (value !== undefined && value !== "") return value;
    return fallback ?? this.#refuse(`the variable ${name} is not set; set it, or write \${${name}:-default}`);
  }

  #refuse(message: string): undefined {
    this.#tell(message);
    return undefined;
  }
}

/** The path of a node in the schema's keys. */
function pathOf(ancestors: readonly unknown[], node: unknown): PropertyKey[] {
  const { isPair, isScalar, isSeq } = yaml();
  const path: PropertyKey[] = [];
  for (const [index, ancestor] of ancestors.entries()) {
    if (isPair(ancestor) && isScalar(ancestor.key)) path.push(camelCase(String(ancestor.key.value)));
    if (isSeq(ancestor)) path.push(ancestor.items.indexOf(ancestors[index + 1] ?? node));
  }
  return path;
}

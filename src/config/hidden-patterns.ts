import { coversGlob } from "../policy/glob.ts";
import { snakeCase } from "../util/case.ts";
import type { Config } from "./schema.ts";

/** Says of each pattern that an earlier one matches the same models, so that it is never used: the first that matches counts. */
export function hiddenPatterns({
  modelPolicies,
  shadowPolicies,
}: Pick<Config, "modelPolicies" | "shadowPolicies">): string[] {
  const lists = { "modelPolicies.patterns": modelPolicies.patterns, shadowPolicies };
  return Object.entries(lists).flatMap(([name, patterns]) =>
    patterns.flatMap(({ match }, index) => {
      const before = patterns.slice(0, index).find((earlier) => coversGlob(earlier.match, match));
      if (!before) return [];
      return `${snakeCase(name)}[${index}] (${match}) is never used: ${before.match} before it matches the same models, and the first that matches counts`;
    }),
  );
}

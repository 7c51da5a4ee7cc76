/** Something that is wrong with the configuration, and where it stands. */
export interface ConfigProblem {
  /** `file:line:column`, a flag, or the name of a variable. */
  readonly where: string;
  readonly message: string;
}

/** A configuration that cannot be taken: a line for each thing that is wrong with it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(where: string, message: string, others: readonly ConfigProblem[] = []) {
    const problems = [{ where, message }, ...others];
    super(problems.map((problem) => `${problem.where}: ${problem.message}`).join("\n"));
    this.problems = problems;
  }
}

/** Throws ConfigError where there is a problem. */
export function throwProblems([first, ...others]: readonly ConfigProblem[]): void {
  if (first) throw new ConfigError(first.where, first.message, others);
}

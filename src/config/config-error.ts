/** A mistake in the configuration, with its place. */
export interface ConfigProblem {
  /** `file:line:column`, a flag, or the name of a variable. */
  readonly where: string;
  readonly message: string;
}

/** An invalid configuration. The message has one line for each mistake. */
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

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

/** Most mistakes that are told: nobody reads more, and they go into a line of the log. */
const MAX_PROBLEMS = 100;

/** Throws ConfigError where there is a problem. */
export function throwProblems(problems: readonly ConfigProblem[]): void {
  const [first, ...others] = problems.slice(0, MAX_PROBLEMS);
  if (problems.length > MAX_PROBLEMS) others.push({ where: "config", message: "and more is wrong" });
  if (first) throw new ConfigError(first.where, first.message, others);
}

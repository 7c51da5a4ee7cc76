/** A configuration that cannot be taken: one line for whoever wrote it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** `file:line:column`, a flag, or an env name. */
  readonly where: string;

  constructor(where: string, message: string) {
    super(`${where}: ${message}`);
    this.where = where;
  }
}

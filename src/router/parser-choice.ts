/** What the operator says of a parser: its name; `none`: no parser; undefined: the one of the model's family. */
export type ParserChoice<Name extends string> = Name | "none" | undefined;

/** The parser that the operator names, or that `find` finds; undefined for none. */
export function parserOf<Name extends string>(
  choice: ParserChoice<Name>,
  find: () => Name | undefined,
): Name | undefined {
  return choice === "none" ? undefined : (choice ?? find());
}

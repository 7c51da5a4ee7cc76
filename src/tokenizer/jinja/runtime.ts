import type { Meter } from "./meter.ts";
import type { Expression, GivenArguments, MacroNode, Statement } from "./nodes.ts";
import type { Scope } from "./scope.ts";
import type { Callable, CallArguments, Value } from "./values.ts";

/** What filters and tests may ask of the interpreter that runs them. */
export interface Runtime {
  readonly meter: Meter;
  filter(name: string, value: Value, args: CallArguments): Value;
  test(name: string, value: Value, args: CallArguments): boolean;
}

/** What statements and macros ask of the interpreter that runs them. */
export interface Evaluator extends Runtime {
  readonly statements: { textOf(statements: readonly Statement[], scope: Scope): string };
  /** Throws TemplateError where Python would refuse the expression, TemplateLimit where it costs too much. */
  evaluate(node: Expression, scope: Scope): Value;
  argumentsOf(args: GivenArguments, scope: Scope): CallArguments;
  call(callee: Value, args: CallArguments): Value;
  macro(node: MacroNode, scope: Scope): Callable;
}

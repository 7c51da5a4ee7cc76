import type { MacroNode } from "./nodes.ts";
import type { Evaluator } from "./runtime.ts";
import { Scope } from "./scope.ts";
import { Callable, type CallArguments, type Key, TemplateError, Tuple, Undefined, type Value } from "./values.ts";

/** Makes a callable of a macro, or of the body of a `call` block. It sees the variables of `outer`, where it was defined. */
export function createMacro(node: MacroNode, outer: Scope, interpreter: Evaluator): Callable {
  return new Callable(node.name, (args) => {
    const { meter } = interpreter;
    meter.spend(1);
    meter.enter();
    const scope = new Scope(outer);
    bind(node, args, scope, interpreter);
    const text = interpreter.statements.textOf(node.body, scope);
    meter.leave();
    return text;
  });
}

function bind(node: MacroNode, { positional, named }: CallArguments, scope: Scope, interpreter: Evaluator): void {
  const rest = new Map<Key, Value>(named);
  for (const [index, { name, otherwise }] of node.parameters.entries()) {
    const given = index < positional.length ? positional[index] : rest.get(name);
    if (index < positional.length && rest.has(name)) {
      throw new TemplateError(`macro '${node.name}' got multiple values for argument '${name}'`);
    }
    rest.delete(name);
    if (given !== undefined) scope.set(name, given);
    else if (otherwise) scope.set(name, interpreter.evaluate(otherwise, scope));
    else scope.set(name, new Undefined(`parameter '${name}' was not provided`));
  }
  // `caller` counts as an argument only if the body uses it.
  const caller = rest.get("caller");
  rest.delete("caller");
  if (node.takesCaller) scope.set("caller", caller ?? new Undefined("No caller defined"));
  const more = positional.slice(node.parameters.length);
  if (node.takesList) scope.set("varargs", new Tuple(more));
  else if (more.length > 0) {
    throw new TemplateError(`macro '${node.name}' takes not more than ${node.parameters.length} argument(s)`);
  }
  const [unknown] = rest.keys();
  if (node.takesDict) scope.set("kwargs", rest);
  else if (unknown !== undefined) {
    throw new TemplateError(`macro '${node.name}' takes no keyword argument '${String(unknown)}'`);
  }
}

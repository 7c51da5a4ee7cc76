import type { Value } from "./values.ts";

/** Arguments of a call, filter or test. */
export interface GivenArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
  /** `*list` and `**dict`. */
  readonly list: Expression | undefined;
  readonly dict: Expression | undefined;
}

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type CompareOperator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

/** A node that has a value. */
export type Expression =
  | { readonly kind: "constant"; readonly value: Value }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [key: Expression, value: Expression])[] }
  | { readonly kind: "attribute"; readonly target: Expression; readonly name: string }
  | { readonly kind: "item"; readonly target: Expression; readonly key: Expression }
  | { readonly kind: "slice"; readonly target: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly kind: "call"; readonly callee: Expression; readonly args: GivenArguments }
  /** A filter; without an operand it filters a block. */
  | {
      readonly kind: "filter";
      readonly operand: Expression | undefined;
      readonly name: string;
      readonly args: GivenArguments;
    }
  | { readonly kind: "test"; readonly operand: Expression; readonly name: string; readonly args: GivenArguments }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "concatenation"; readonly parts: readonly Expression[] }
  | { readonly kind: "negative" | "positive" | "not"; readonly operand: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: "comparison";
      readonly first: Expression;
      readonly rest: readonly { readonly operator: CompareOperator; readonly right: Expression }[];
    }
  | {
      readonly kind: "conditional";
      readonly test: Expression;
      /** The value if the test holds. */
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    };

/** Target of an assignment: a name, several targets for an unpacked value, or a member of a namespace. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] }
  | { readonly kind: "member"; readonly name: string; readonly attribute: string };

export interface Parameter {
  readonly name: string;
  readonly otherwise: Expression | undefined;
}

/** A macro, or the body of a `call` block, which the called macro knows as `caller`. */
export interface MacroNode {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: readonly Statement[];
  /** Whether its body uses `varargs`: arguments beyond its parameters. */
  readonly takesList: boolean;
  readonly takesDict: boolean;
  readonly takesCaller: boolean;
}

/** A node that writes text or sets variables. */
export type Statement =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly value: Expression }
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly test: Expression; readonly body: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
    }
  | ForNode
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: "set_block";
      readonly target: Target;
      readonly filter: Expression | undefined;
      readonly body: readonly Statement[];
    }
  | { readonly kind: "macro"; readonly macro: MacroNode }
  | { readonly kind: "call_block"; readonly call: Expression & { kind: "call" }; readonly caller: MacroNode }
  | { readonly kind: "filter_block"; readonly filter: Expression; readonly body: readonly Statement[] }
  | {
      readonly kind: "with";
      readonly values: readonly (readonly [target: Target, value: Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: "break" | "continue" };

export interface ForNode {
  readonly kind: "for";
  readonly target: Target;
  readonly iterable: Expression;
  readonly test: Expression | undefined;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
  readonly isRecursive: boolean;
}

/** A parsed template. */
export interface Program {
  readonly body: readonly Statement[];
}

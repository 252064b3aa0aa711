import type { Rational } from "./rational.ts";

/** Functions of one number. */
export const unaryFunctions = [
  ...["sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"],
  ...["sinh", "cosh", "tanh", "ln", "exp", "abs", "floor", "ceil", "factorial"],
] as const;
export type UnaryFunction = (typeof unaryFunctions)[number];

export type Comparison = "=" | "<" | ">" | "<=" | ">=" | "!=";

/** A mathematical expression as an answer has it. */
export type Expression =
  | {
      readonly kind: "number";
      readonly value: Rational /** Written with a decimal point. */;
      readonly decimal: boolean;
    }
  | { readonly kind: "constant"; readonly name: "pi" | "e" | "i" | "infinity" }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "sum" | "product" | "quotient" | "power"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "negative" | "percent" | "degrees"; readonly of: Expression }
  /** The numbers on both sides of a middle: a ± b. */
  | { readonly kind: "plus_minus"; readonly middle: Expression; readonly reach: Expression }
  | { readonly kind: "function"; readonly name: UnaryFunction; readonly of: Expression }
  | { readonly kind: "log"; readonly base: Expression; readonly of: Expression }
  | { readonly kind: "binomial"; readonly n: Expression; readonly k: Expression }
  | Listing
  | { readonly kind: "union"; readonly items: readonly Expression[] }
  | { readonly kind: "matrix"; readonly rows: readonly (readonly Expression[])[] }
  | Relation;

/** Several expressions: a tuple, an interval, a set; without brackets, a list. */
export interface Listing {
  readonly kind: "list";
  readonly open: "(" | "[" | "{" | "";
  readonly close: ")" | "]" | "}" | "";
  readonly items: readonly Expression[];
}

/** A chain: `items[0] comparisons[0] items[1] ...`. */
export interface Relation {
  readonly kind: "relation";
  readonly items: readonly Expression[];
  readonly comparisons: readonly Comparison[];
}

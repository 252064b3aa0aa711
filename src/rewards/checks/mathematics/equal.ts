import type { Complex } from "./complex.ts";
import { magnitude } from "./complex.ts";
import { exactly, numerically } from "./evaluate.ts";
import type { Comparison, Expression, Listing, Relation } from "./expression.ts";
import { equalRationals, toDouble } from "./rational.ts";

/** How far two numbers may lie apart, as a share of the greater; 0 unless an answer is only wanted so closely. */
export interface Closeness {
  readonly tolerance: number;
}

/**
 * Whether an answer says what the reference says. Fractions and decimals are compared exactly, and up to six decimals where
 * one is written as a decimal; all else by its values, at ten fixed places of the variables. A percentage is its number
 * and its hundredth. `x = 5` is 5; sets, lists and ± have no order, tuples and matrices have; an inequality is the
 * interval of its variable; an equation is any multiple of it.
 */
export function sameAnswer(reference: Expression, answer: Expression, closeness: Closeness): boolean {
  const [right, given] = [simplified(reference), simplified(answer)];
  if (right.kind === "relation" && given.kind === "relation") return sameRelation(right, given, closeness);
  if (right.kind === "relation" || given.kind === "relation") {
    const [relation, other] = right.kind === "relation" ? [right, given] : [given as Relation, right];
    const value = namedValue(relation);
    return value !== undefined && sameAnswer(value, other, closeness);
  }
  if (right.kind === "union" || given.kind === "union")
    return right.kind === "union" && given.kind === "union" && sameUnordered(right.items, given.items, closeness);
  if (right.kind === "matrix" || given.kind === "matrix") {
    if (right.kind !== "matrix" || given.kind !== "matrix" || right.rows.length !== given.rows.length) return false;
    return right.rows.every((row, at) => sameOrdered(row, given.rows[at]!, closeness));
  }
  if (right.kind === "list" || given.kind === "list") return sameListing(right, given, closeness);
  return sameNumber(right, given, closeness);
}

/** ± becomes a set, a set or list of one its only item, x = 1, x = 2 a list of values. */
function simplified(expression: Expression): Expression {
  const isNumber = expression.kind !== "relation" && expression.kind !== "list" && expression.kind !== "matrix";
  if (isNumber && walk(expression).some(({ kind }) => kind === "plus_minus"))
    return { kind: "list", open: "{", close: "}", items: [withSign(expression, 1), withSign(expression, -1)] };
  if (expression.kind === "relation" && expression.comparisons.every((comparison) => comparison === "=")) {
    const last = expression.items.at(-1)!;
    const first = expression.items[0]!;
    // 2 + 2 = 4 is 4, and x = a = 5 is x = 5.
    if (expression.items.length > 2) return simplified({ ...expression, items: [first, last], comparisons: ["="] });
    if (variablesOf(expression).size === 0) return simplified(last);
    const severalValues = last.kind === "list" || walk(last).some(({ kind }) => kind === "plus_minus");
    if (isName(first) && severalValues) return simplified(last);
    if (last.kind === "variable" && variablesOf(first).size === 0) return { ...expression, items: [last, first] };
  }
  if (expression.kind !== "list") return expression;
  const items = expression.open === "" || expression.open === "{" ? expression.items.map(itemOf) : expression.items;
  if (items.length === 1 && expression.open !== "(") return simplified(items[0]!);
  return { ...expression, items };
}

/** One of the two numbers that ± writes. */
function withSign(expression: Expression, sign: 1 | -1): Expression {
  if (expression.kind === "plus_minus") {
    const [left, reach] = [withSign(expression.middle, sign), withSign(expression.reach, sign)];
    return { kind: "sum", left, right: sign === 1 ? reach : { kind: "negative", of: reach } };
  }
  const signed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(signed);
    return typeof value === "object" && value !== null && "kind" in value ? withSign(value as Expression, sign) : value;
  };
  return Object.fromEntries(
    Object.entries(expression).map(([field, value]) => [field, signed(value)]),
  ) as unknown as Expression;
}

/** x = 1 in a list is 1. */
function itemOf(item: Expression): Expression {
  const simple = item.kind === "relation" ? simplified(item) : item;
  if (simple.kind !== "relation" || simple.comparisons[0] !== "=" || simple.items.length > 2) return simple;
  return isName(simple.items[0]!) ? simple.items[1]! : simple;
}

/** What has a value: x, (x, y), f(x), |AB|, a : b. No sum, and no number, of which the value would be another's. */
const isName = (expression: Expression): boolean =>
  variablesOf(expression).size > 0 &&
  walk(expression).every(({ kind }) => kind !== "number" && kind !== "sum" && kind !== "power" && kind !== "negative");

/** What a relation says of its variable: the right side of x = 5 and y = 2x + 1, the interval of an inequality. */
function namedValue(relation: Relation): Expression | undefined {
  const interval = intervalOf(relation);
  if (interval !== undefined) return interval;
  const [left, right] = relation.items as [Expression, Expression];
  if (relation.items.length !== 2 || relation.comparisons[0] !== "=") return undefined;
  return isName(left) ? right : undefined;
}

const turned: Readonly<Record<Comparison, Comparison>> = {
  "<": ">",
  ">": "<",
  "<=": ">=",
  ">=": "<=",
  "=": "=",
  "!=": "!=",
};

/** The interval of x < 2, 2 > x, 1 < x <= 3; undefined for other relations. */
function intervalOf({ items, comparisons }: Relation): Listing | undefined {
  const at = items.findIndex(({ kind }) => kind === "variable");
  if (at < 0 || items.length > 3 || (items.length === 3 && at !== 1)) return undefined;
  let [low, high]: [Expression, Expression] = [negativeInfinity, infinity];
  let [open, close]: ["(" | "[", ")" | "]"] = ["(", ")"];
  for (const [place, comparison] of comparisons.entries()) {
    const bound = items[place === at ? place + 1 : place]!;
    if (variablesOf(bound).size > 0) return undefined;
    // As seen from the variable.
    const seen = place === at ? comparison : turned[comparison];
    if (seen === "<" || seen === "<=") [high, close] = [bound, seen === "<" ? ")" : "]"];
    else if (seen === ">" || seen === ">=") [low, open] = [bound, seen === ">" ? "(" : "["];
    else return undefined;
  }
  return { kind: "list", open, close, items: [low, high] };
}

const infinity: Expression = { kind: "constant", name: "infinity" };
const negativeInfinity: Expression = { kind: "negative", of: infinity };

function sameRelation(right: Relation, given: Relation, closeness: Closeness): boolean {
  const intervals = [intervalOf(right), intervalOf(given)] as const;
  if (intervals[0] !== undefined && intervals[1] !== undefined)
    return equalSets(variablesOf(right), variablesOf(given)) && sameAnswer(intervals[0], intervals[1], closeness);
  if (right.items.length !== given.items.length) return false;
  const isEquation = (relation: Relation) => relation.items.length === 2 && relation.comparisons[0] === "=";
  if (isEquation(right) && isEquation(given)) return proportional(right, given);
  const as = (items: readonly Expression[], comparisons: readonly Comparison[]) =>
    comparisons.every((comparison, at) => comparison === right.comparisons[at]) &&
    sameOrdered(right.items, items, closeness);
  const flipped = [...given.comparisons].reverse().map((comparison) => turned[comparison]);
  return as(given.items, given.comparisons) || as([...given.items].reverse(), flipped);
}

/** Whether left - right of one equation is a constant multiple of the other's. */
function proportional(right: Relation, given: Relation): boolean {
  if (!equalSets(variablesOf(right), variablesOf(given))) return false;
  const sides = ({ items: [left, other] }: Relation): Expression => ({
    kind: "sum",
    left: left!,
    right: { kind: "negative", of: other! },
  });
  const [a, b] = [sides(right), sides(given)];
  let ratio: number | undefined;
  let compared = 0;
  for (const place of places) {
    const [one, other] = [numerically(a, place), numerically(b, place)];
    if (one === undefined || other === undefined) return false;
    if (!areFinite(one) || !areFinite(other) || one.im !== 0 || other.im !== 0) continue;
    if (Math.abs(one.re) < 1e-9 || Math.abs(other.re) < 1e-9) return false;
    const found = one.re / other.re;
    if (ratio !== undefined && Math.abs(found - ratio) > 1e-8 * Math.abs(ratio)) return false;
    ratio ??= found;
    compared += 1;
  }
  return compared >= fewest;
}

function sameListing(right: Expression, given: Expression, closeness: Closeness): boolean {
  if (right.kind !== "list" || given.kind !== "list") return false;
  const isSet = ({ open }: Listing) => open === "{" || open === "";
  if (isSet(right) && isSet(given)) return sameUnordered(right.items, given.items, closeness);
  if (isSet(right) !== isSet(given)) {
    // (1, 2) without its brackets.
    const [bare, bracketed] = isSet(right) ? [right, given] : [given, right];
    return (
      bare.open === "" &&
      bracketed.open === "(" &&
      bracketed.close === ")" &&
      sameOrdered(right.items, given.items, closeness)
    );
  }
  return right.open === given.open && right.close === given.close && sameOrdered(right.items, given.items, closeness);
}

const sameOrdered = (right: readonly Expression[], given: readonly Expression[], closeness: Closeness): boolean =>
  right.length === given.length && right.every((item, at) => sameAnswer(item, given[at]!, closeness));

/** More items are not compared in every order. */
const mostItems = 50;

/** Each item of one is one of the other, however often. */
function sameUnordered(right: readonly Expression[], given: readonly Expression[], closeness: Closeness): boolean {
  if (right.length > mostItems || given.length > mostItems) return sameOrdered(right, given, closeness);
  const within = (items: readonly Expression[], others: readonly Expression[]) =>
    items.every((item) => others.some((other) => sameAnswer(item, other, closeness)));
  return within(right, given) && within(given, right);
}

function sameNumber(right: Expression, given: Expression, closeness: Closeness): boolean {
  if (right.kind === "percent" || given.kind === "percent") {
    const readings = (expression: Expression) =>
      expression.kind === "percent" ? [expression.of, hundredth(expression.of)] : [expression];
    // Of two percentages the numbers count: 25 % is not 0.25 %.
    if (right.kind === "percent" && given.kind === "percent") return sameNumber(right.of, given.of, closeness);
    return readings(right).some((one) => readings(given).some((other) => sameNumber(one, other, closeness)));
  }
  const [a, b] = [exactly(right), exactly(given)];
  if (a !== undefined && b !== undefined) {
    if (equalRationals(a, b)) return true;
    const decimals = hasDecimal(right) || hasDecimal(given);
    if (!decimals && closeness.tolerance === 0) return false;
    return near(toDouble(a), toDouble(b), { tolerance: closeness.tolerance, decimals, exact: true });
  }
  return sameValues(right, given, closeness);
}

const hundredth = (of: Expression): Expression => ({
  kind: "quotient",
  left: of,
  right: { kind: "number", value: { numerator: 100n, denominator: 1n }, decimal: false },
});

function sameValues(right: Expression, given: Expression, { tolerance }: Closeness): boolean {
  const variables = variablesOf(right);
  if (!equalSets(variables, variablesOf(given)) && variables.size + variablesOf(given).size > 0) {
    // x - x + 1 has no variable that matters; an answer that lacks one of the reference's is another.
    if (variables.size === 0 || variablesOf(given).size === 0) return false;
  }
  const decimals = variables.size === 0 && (hasDecimal(right) || hasDecimal(given));
  let compared = 0;
  for (const place of variables.size === 0 ? places.slice(0, 1) : places) {
    const [a, b] = [numerically(right, place), numerically(given, place)];
    if (a === undefined || b === undefined) return false;
    if (Number.isNaN(a.re) || Number.isNaN(b.re)) continue;
    if (!areFinite(a) || !areFinite(b)) {
      if (a.re !== b.re || a.im !== b.im) return false;
    } else if (
      !near(a.re, b.re, { tolerance, decimals, scale: magnitude(a) }) ||
      !near(a.im, b.im, { tolerance, decimals, scale: magnitude(a) })
    )
      return false;
    compared += 1;
  }
  return compared >= (variables.size === 0 ? 1 : fewest);
}

const areFinite = ({ re, im }: Complex): boolean => Number.isFinite(re) && Number.isFinite(im);

interface Nearness {
  readonly tolerance: number;
  /** Whether one of the two is a decimal, that may be rounded. */
  readonly decimals: boolean;
  /** Whether the numbers are free of errors of rounding. */
  readonly exact?: boolean;
  /** The size of the number that these are parts of. */
  readonly scale?: number;
}

/** Decimals are the same where six places after the point (of numbers below 1, six digits) are. */
function near(a: number, b: number, { tolerance, decimals, exact = false, scale = 0 }: Nearness): boolean {
  const size = Math.max(Math.abs(a), Math.abs(b), scale);
  const rounding = decimals ? 1.001e-6 * Math.min(1, size) : 0;
  return Math.abs(a - b) <= Math.max(rounding, exact ? 0 : 1e-10 * size, tolerance * size);
}

function hasDecimal(expression: Expression): boolean {
  return walk(expression).some((inner) => inner.kind === "number" && inner.decimal);
}

const variablesOf = (expression: Expression): Set<string> =>
  new Set(walk(expression).flatMap((inner) => (inner.kind === "variable" ? [inner.name] : [])));

function walk(expression: Expression): Expression[] {
  const children = Object.values(expression).flatMap((value: unknown) =>
    Array.isArray(value) ? value.flat() : [value],
  );
  const inner = children.filter(
    (child): child is Expression => typeof child === "object" && child !== null && "kind" in child,
  );
  return [expression, ...inner.flatMap(walk)];
}

const equalSets = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((item) => b.has(item));

/** Two expressions have to have a value at so many places. */
const fewest = 3;

/** Ten places: what each variable is there, from -3 to 3 and never near a whole number, decided by its name. */
const places: readonly ((name: string) => number)[] = Array.from({ length: 10 }, (_, place) => (name: string) => {
  let state = 2166136261 ^ (place * 40503);
  for (const character of `${place} ${name}`) state = Math.imul(state ^ character.codePointAt(0)!, 16777619);
  state = Math.imul(state ^ (state >>> 15), 2246822519);
  const share = ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  const size = Math.floor(share * 3) + 0.1 + 0.8 * ((share * 3) % 1);
  return place % 3 === 2 ? -size : size;
});

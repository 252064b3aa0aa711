import {
  add,
  arcsine,
  arctangent,
  type Complex,
  cosine,
  divide,
  exponential,
  logarithm,
  magnitude,
  multiply,
  negate,
  raise,
  real,
  sine,
} from "./complex.ts";
import type { Expression, UnaryFunction } from "./expression.ts";
import { power, product, quotient, type Rational, rational, sum, toDouble } from "./rational.ts";

/** The exact value; undefined where the expression has none that is a fraction, or is no number. */
export function exactly(expression: Expression): Rational | undefined {
  const both = (left: Expression, right: Expression, of: (a: Rational, b: Rational) => Rational | undefined) => {
    const [a, b] = [exactly(left), exactly(right)];
    return a === undefined || b === undefined ? undefined : of(a, b);
  };
  switch (expression.kind) {
    case "number":
      return expression.value;
    case "negative": {
      const of = exactly(expression.of);
      return of && { numerator: -of.numerator, denominator: of.denominator };
    }
    case "sum":
      return both(expression.left, expression.right, sum);
    case "product":
      return both(expression.left, expression.right, product);
    case "quotient":
      return both(expression.left, expression.right, quotient);
    case "power":
      return both(expression.left, expression.right, power);
    case "degrees":
      return exactly(expression.of);
    case "percent":
      return both(expression.of, expression.of, (of) => rational(of.numerator, of.denominator * 100n));
    default:
      return undefined;
  }
}

/** The value where the variables have these; undefined for what is no number: a set, a relation, a matrix. */
export function numerically(expression: Expression, variables: (name: string) => number): Complex | undefined {
  const at = (inner: Expression) => numerically(inner, variables);
  const both = (left: Expression, right: Expression, of: (a: Complex, b: Complex) => Complex) => {
    const [a, b] = [at(left), at(right)];
    return a === undefined || b === undefined ? undefined : of(a, b);
  };
  switch (expression.kind) {
    case "number":
      return real(toDouble(expression.value));
    case "constant":
      return constants[expression.name];
    case "variable":
      return real(variables(expression.name));
    case "negative": {
      const of = at(expression.of);
      return of && negate(of);
    }
    case "degrees":
      return at(expression.of);
    case "percent":
      return both(expression.of, expression.of, (of) => divide(of, real(100)));
    case "sum":
      return both(expression.left, expression.right, add);
    case "product":
      return both(expression.left, expression.right, multiply);
    case "quotient":
      return both(expression.left, expression.right, divide);
    case "power":
      return realRoot(expression.left, expression.right, at) ?? both(expression.left, expression.right, raise);
    case "function": {
      const of = at(inRadians(expression.of, expression.name));
      return of && functions[expression.name](of);
    }
    case "log":
      return both(expression.of, expression.base, (of, base) => divide(logarithm(of), logarithm(base)));
    case "binomial":
      return both(expression.n, expression.k, binomial);
    default:
      return undefined;
  }
}

const constants = {
  pi: real(Math.PI),
  e: real(Math.E),
  i: { re: 0, im: 1 },
  infinity: real(Number.POSITIVE_INFINITY),
} as const;

/** The sine of 30° is that of pi/6, while an answer of 30° is 30. */
function inRadians(of: Expression, name: UnaryFunction): Expression {
  if (of.kind !== "degrees" || !["sin", "cos", "tan", "cot", "sec", "csc"].includes(name)) return of;
  const turn: Expression = { kind: "constant", name: "pi" };
  const half: Expression = { kind: "number", value: { numerator: 180n, denominator: 1n }, decimal: false };
  return { kind: "quotient", left: { kind: "product", left: of.of, right: turn }, right: half };
}

/** The cube root of -8 is -2 in answers, where powers of complex numbers have another. */
function realRoot(
  base: Expression,
  exponent: Expression,
  at: (inner: Expression) => Complex | undefined,
): Complex | undefined {
  const order = exactly(exponent);
  if (order === undefined || order.denominator % 2n === 0n || order.denominator === 1n) return undefined;
  const value = at(base);
  if (value === undefined || value.im !== 0 || value.re >= 0) return undefined;
  const size = (-value.re) ** toDouble(order);
  return real(order.numerator % 2n === 0n ? size : -size);
}

const inverse = (a: Complex): Complex => divide(real(1), a);
const onReals =
  (of: (value: number) => number) =>
  (a: Complex): Complex =>
    a.im === 0 ? real(of(a.re)) : real(Number.NaN);

const functions: Readonly<Record<UnaryFunction, (of: Complex) => Complex>> = {
  sin: sine,
  cos: cosine,
  tan: (a) => divide(sine(a), cosine(a)),
  cot: (a) => divide(cosine(a), sine(a)),
  sec: (a) => inverse(cosine(a)),
  csc: (a) => inverse(sine(a)),
  arcsin: arcsine,
  arccos: (a) => add(real(Math.PI / 2), negate(arcsine(a))),
  arctan: arctangent,
  sinh: onReals(Math.sinh),
  cosh: onReals(Math.cosh),
  tanh: onReals(Math.tanh),
  ln: logarithm,
  exp: exponential,
  abs: (a) => real(magnitude(a)),
  floor: onReals(Math.floor),
  ceil: onReals(Math.ceil),
  factorial: onReals((value) => gamma(value + 1)),
};

/** Lanczos's approximation with g = 7 and nine terms (Press et al., Numerical Recipes, 6.1); whole numbers exactly. */
function gamma(value: number): number {
  if (Number.isInteger(value)) {
    if (value <= 0) return Number.NaN;
    let whole = 1;
    for (let factor = 2; factor < value && whole < Number.MAX_VALUE; factor += 1) whole *= factor;
    return whole;
  }
  if (value < 0.5) return Math.PI / (Math.sin(Math.PI * value) * gamma(1 - value));
  const x = value - 1;
  let series = lanczos[0]!;
  for (let term = 1; term < lanczos.length; term += 1) series += lanczos[term]! / (x + term);
  const t = x + 7.5;
  return Math.sqrt(2 * Math.PI) * t ** (x + 0.5) * Math.exp(-t) * series;
}

const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

function binomial(n: Complex, k: Complex): Complex {
  if (n.im !== 0 || k.im !== 0) return real(Number.NaN);
  if (Number.isInteger(n.re) && Number.isInteger(k.re) && k.re >= 0 && k.re <= 10_000) {
    let value = 1;
    for (let step = 1; step <= k.re; step += 1) value = (value * (n.re - k.re + step)) / step;
    return real(Math.round(value));
  }
  return real(gamma(n.re + 1) / (gamma(k.re + 1) * gamma(n.re - k.re + 1)));
}

/** An exact fraction in lowest terms; `denominator` is above 0. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Larger powers are left to floating point. */
const largestPowerBits = 20_000;

export function rational(numerator: bigint, denominator = 1n): Rational | undefined {
  if (denominator === 0n) return undefined;
  const sign = denominator < 0n ? -1n : 1n;
  const divisor = greatestCommon(numerator < 0n ? -numerator : numerator, denominator * sign) * sign;
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

function greatestCommon(a: bigint, b: bigint): bigint {
  let [larger, smaller] = [a, b];
  while (smaller !== 0n) [larger, smaller] = [smaller, larger % smaller];
  return larger === 0n ? 1n : larger;
}

/** Of digits with or without a decimal point. */
export function decimal(text: string): Rational {
  const [whole = "", fraction = ""] = text.split(".");
  return rational(BigInt(`${whole}${fraction}` || "0"), 10n ** BigInt(fraction.length))!;
}

export const sum = (a: Rational, b: Rational) =>
  rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);

export const product = (a: Rational, b: Rational) => rational(a.numerator * b.numerator, a.denominator * b.denominator);

export const quotient = (a: Rational, b: Rational) =>
  rational(a.numerator * b.denominator, a.denominator * b.numerator);

/** Of a whole exponent; undefined for others, and where the power would be huge. */
export function power(base: Rational, exponent: Rational): Rational | undefined {
  if (exponent.denominator !== 1n) return undefined;
  const times = exponent.numerator < 0n ? -exponent.numerator : exponent.numerator;
  if (times * BigInt(bits(base)) > largestPowerBits) return undefined;
  const raised = { numerator: base.numerator ** times, denominator: base.denominator ** times };
  return exponent.numerator < 0n
    ? rational(raised.denominator, raised.numerator)
    : rational(raised.numerator, raised.denominator);
}

const bits = ({ numerator, denominator }: Rational): number =>
  Math.max(numerator.toString(2).length, denominator.toString(2).length);

/** The nearest double. */
export function toDouble({ numerator, denominator }: Rational): number {
  const [top, bottom] = [Number(numerator), Number(denominator)];
  if (Number.isFinite(top) && Number.isFinite(bottom)) return top / bottom;
  const shift = BigInt(Math.max(0, Math.max(bits({ numerator, denominator }) - 1000, 0)));
  return Number(numerator >> shift) / Number(denominator >> shift);
}

export const equalRationals = (a: Rational, b: Rational): boolean =>
  a.numerator === b.numerator && a.denominator === b.denominator;

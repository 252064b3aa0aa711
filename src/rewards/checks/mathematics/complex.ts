/** A complex number in double precision. Of functions with several values, the principal one. */
export interface Complex {
  readonly re: number;
  readonly im: number;
}

export const real = (re: number): Complex => ({ re, im: 0 });
export const add = (a: Complex, b: Complex): Complex => ({ re: a.re + b.re, im: a.im + b.im });
/** Without -0, whose logarithm lies on the other side of the cut. */
export const negate = (a: Complex): Complex => ({ re: 0 - a.re, im: 0 - a.im });
export const multiply = (a: Complex, b: Complex): Complex =>
  a.im === 0 && b.im === 0 ? real(a.re * b.re) : { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
export const magnitude = ({ re, im }: Complex): number => Math.hypot(re, im);

/** Nothing can be divided by 0, whatever the sign of the infinity would be. */
export function divide(a: Complex, b: Complex): Complex {
  if (b.re === 0 && b.im === 0) return real(Number.NaN);
  if (a.im === 0 && b.im === 0) return real(a.re / b.re);
  const square = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / square, im: (a.im * b.re - a.re * b.im) / square };
}

export function exponential({ re, im }: Complex): Complex {
  const size = Math.exp(re);
  return im === 0 ? real(size) : { re: size * Math.cos(im), im: size * Math.sin(im) };
}

export const logarithm = (a: Complex): Complex => ({ re: Math.log(magnitude(a)), im: Math.atan2(a.im, a.re) });

export function raise(base: Complex, exponent: Complex): Complex {
  if (exponent.im === 0 && Number.isInteger(exponent.re) && Math.abs(exponent.re) <= 64) {
    let whole = real(1);
    for (let times = Math.abs(exponent.re); times > 0; times -= 1) whole = multiply(whole, base);
    return exponent.re < 0 ? divide(real(1), whole) : whole;
  }
  if (base.im === 0 && exponent.im === 0 && (base.re >= 0 || Number.isInteger(exponent.re)))
    return real(base.re ** exponent.re);
  if (base.re === 0 && base.im === 0) return real(exponent.re > 0 ? 0 : Number.NaN);
  return exponential(multiply(exponent, logarithm(base)));
}

const i: Complex = { re: 0, im: 1 };

export function sine(a: Complex): Complex {
  if (a.im === 0) return real(Math.sin(a.re));
  return { re: Math.sin(a.re) * Math.cosh(a.im), im: Math.cos(a.re) * Math.sinh(a.im) };
}

export function cosine(a: Complex): Complex {
  if (a.im === 0) return real(Math.cos(a.re));
  return { re: Math.cos(a.re) * Math.cosh(a.im), im: -Math.sin(a.re) * Math.sinh(a.im) };
}

/** arctan z = (ln(1 + iz) - ln(1 - iz)) / 2i. */
export function arctangent(a: Complex): Complex {
  if (a.im === 0) return real(Math.atan(a.re));
  const turned = multiply(i, a);
  const difference = add(logarithm(add(real(1), turned)), negate(logarithm(add(real(1), negate(turned)))));
  return divide(difference, { re: 0, im: 2 });
}

/** arcsin z = -i ln(iz + sqrt(1 - z^2)). */
export function arcsine(a: Complex): Complex {
  if (a.im === 0 && Math.abs(a.re) <= 1) return real(Math.asin(a.re));
  const root = raise(add(real(1), negate(multiply(a, a))), real(0.5));
  return negate(multiply(i, logarithm(add(multiply(i, a), root))));
}

/** What a step along a direction leads to. */
interface Reached {
  readonly value: number;
  /** Of the value, along the direction. */
  readonly descent: number;
}

const sufficient = 1e-3;
const flatter = 0.9;
const narrowest = 0.1;
const longest = 1e10;
const mostTries = 50;

interface Point {
  readonly x: number;
  readonly f: number;
  readonly d: number;
}

/**
 * A length of step that lessens the value enough and flattens it, by the line search of Moré and Thuente (1994) with the constants of L-BFGS-B. Undefined
 * where none is found.
 */
export function strongWolfeStep<Found extends Reached>(
  along: (length: number) => Found,
  start: Reached,
  first: number,
): (Found & { readonly length: number }) | undefined {
  const fall = sufficient * start.descent;
  let best: Point = { x: 0, f: start.value, d: start.descent };
  let other = best;
  let bracketed = false;
  let early = true;
  let width = longest;
  let widthBefore = 2 * longest;
  let [least, most] = [0, first + 4 * first];
  let length = first;
  for (let tries = 0; tries < mostTries; tries += 1) {
    const found = along(length);
    const { value: f, descent: d } = found;
    const enough = start.value + length * fall;
    if (early && f <= enough && d >= 0) early = false;
    const stuck =
      (bracketed && (length <= least || length >= most)) ||
      (bracketed && most - least <= narrowest * most) ||
      (length === longest && f <= enough && d <= fall) ||
      (length === 0 && (f > enough || d >= fall));
    if ((f <= enough && Math.abs(d) <= flatter * -start.descent) || stuck) return { ...found, length };
    const tried: Point = { x: length, f, d };
    // Before the value has once fallen enough, what is searched is how far it lies above a line that falls just so.
    const leaned = early && f <= best.f && f > enough;
    const lean = (point: Point, sign: 1 | -1): Point =>
      leaned ? { x: point.x, f: point.f - sign * point.x * fall, d: point.d - sign * fall } : point;
    const next = narrowed(lean(best, 1), lean(other, 1), lean(tried, 1), bracketed, least, most);
    best = lean(next.best, -1);
    other = lean(next.other, -1);
    bracketed = next.bracketed;
    length = next.length;
    if (bracketed) {
      const span = Math.abs(other.x - best.x);
      if (span >= 0.66 * widthBefore) length = best.x + 0.5 * (other.x - best.x);
      widthBefore = width;
      width = span;
      [least, most] = [Math.min(best.x, other.x), Math.max(best.x, other.x)];
    } else [least, most] = [length + 1.1 * (length - best.x), length + 4 * (length - best.x)];
    length = Math.min(longest, Math.max(0, length));
    if (bracketed && (length <= least || length >= most || most - least <= narrowest * most)) length = best.x;
  }
  return undefined;
}

/** The ends of a shorter interval about the least, and where to look next: a safeguarded cubic or quadratic step. */
function narrowed(best: Point, other: Point, tried: Point, bracketed: boolean, least: number, most: number) {
  const sign = tried.d * (best.d / Math.abs(best.d));
  const between = tried.x - best.x;
  const theta = (3 * (best.f - tried.f)) / between + best.d + tried.d;
  const size = Math.max(Math.abs(theta), Math.abs(best.d), Math.abs(tried.d));
  const root = (inside: number) => size * Math.sqrt(inside);
  const inside = (theta / size) ** 2 - (best.d / size) * (tried.d / size);
  let length: number;
  let within = bracketed;
  if (tried.f > best.f) {
    const gamma = (tried.x < best.x ? -1 : 1) * root(inside);
    const cubic = best.x + ((gamma - best.d + theta) / (gamma - best.d + gamma + tried.d)) * between;
    const quadratic = best.x + (best.d / ((best.f - tried.f) / between + best.d) / 2) * between;
    length = Math.abs(cubic - best.x) <= Math.abs(quadratic - best.x) ? cubic : cubic + (quadratic - cubic) / 2;
    within = true;
  } else if (sign < 0) {
    const gamma = (tried.x > best.x ? -1 : 1) * root(inside);
    const cubic = tried.x + ((gamma - tried.d + theta) / (gamma - tried.d + gamma + best.d)) * -between;
    const secant = tried.x + (tried.d / (tried.d - best.d)) * -between;
    length = Math.abs(cubic - tried.x) > Math.abs(secant - tried.x) ? cubic : secant;
    within = true;
  } else if (Math.abs(tried.d) < Math.abs(best.d)) {
    const gamma = (tried.x > best.x ? -1 : 1) * root(Math.max(0, inside));
    const ratio = (gamma - tried.d + theta) / (gamma + (best.d - tried.d) + gamma);
    const cubic = ratio < 0 && gamma !== 0 ? tried.x + ratio * -between : tried.x > best.x ? most : least;
    const secant = tried.x + (tried.d / (tried.d - best.d)) * -between;
    const nearer = Math.abs(cubic - tried.x) < Math.abs(secant - tried.x);
    if (bracketed) {
      const bound = tried.x + 0.66 * (other.x - tried.x);
      const taken = nearer ? cubic : secant;
      length = tried.x > best.x ? Math.min(bound, taken) : Math.max(bound, taken);
    } else length = Math.max(least, Math.min(most, nearer ? secant : cubic));
  } else if (bracketed) {
    const theta = (3 * (tried.f - other.f)) / (other.x - tried.x) + other.d + tried.d;
    const size = Math.max(Math.abs(theta), Math.abs(other.d), Math.abs(tried.d));
    const gamma =
      (tried.x > other.x ? -1 : 1) * size * Math.sqrt((theta / size) ** 2 - (other.d / size) * (tried.d / size));
    length = tried.x + ((gamma - tried.d + theta) / (gamma - tried.d + gamma + other.d)) * (other.x - tried.x);
  } else length = tried.x > best.x ? most : least;
  if (tried.f > best.f) return { best, other: tried, bracketed: within, length };
  return { best: tried, other: sign < 0 ? best : other, bracketed: within, length };
}

/** Code points from the first to the second, both included. */
export type Range = readonly [first: number, last: number];

/** What a text may look like; rules may call each other and themselves. */
export type Expression =
  | { readonly kind: "chars"; readonly ranges: readonly Range[] }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly options: readonly Expression[] }
  | { readonly kind: "repeat"; readonly part: Expression; readonly least: number; readonly most: number }
  | { readonly kind: "rule"; readonly name: string };

export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly start: Expression;
}

export const lastCodePoint = 0x10ffff;

export const chars = (...ranges: readonly Range[]): Expression => ({ kind: "chars", ranges });
export const sequence = (...parts: readonly Expression[]): Expression => ({ kind: "sequence", parts });
export const choice = (...options: readonly Expression[]): Expression => ({ kind: "choice", options });
export const repeat = (part: Expression, least: number, most = Number.POSITIVE_INFINITY): Expression => ({
  kind: "repeat",
  part,
  least,
  most,
});
export const optional = (part: Expression): Expression => repeat(part, 0, 1);
export const rule = (name: string): Expression => ({ kind: "rule", name });
export const nothing: Expression = sequence();
export const text = (literal: string): Expression =>
  sequence(...Array.from(literal, (char) => chars([char.codePointAt(0)!, char.codePointAt(0)!])));
export const oneOf = (letters: string): Expression =>
  chars(...Array.from(letters, (char): Range => [char.codePointAt(0)!, char.codePointAt(0)!]));

/** The ranges in order and without overlaps. */
function normal(ranges: readonly Range[]): Range[] {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** All other code points. */
export function complement(ranges: readonly Range[]): Range[] {
  const others: Range[] = [];
  let next = 0;
  for (const [first, last] of normal(ranges)) {
    if (first > next) others.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= lastCodePoint) others.push([next, lastCodePoint]);
  return others;
}

/** Code points that are in both. */
export const intersection = (a: readonly Range[], b: readonly Range[]): Range[] =>
  normal(a).flatMap(([first, last]) =>
    normal(b).flatMap(([from, to]): Range[] =>
      Math.max(first, from) <= Math.min(last, to) ? [[Math.max(first, from), Math.min(last, to)]] : [],
    ),
  );

import {
  chars,
  choice,
  complement,
  type Expression,
  intersection,
  oneOf,
  optional,
  type Range,
  repeat,
  sequence,
  text,
} from "./expression.ts";
import { parseRegex, searched } from "./regex.ts";

/** Between two parts of a text: nothing, a space, or a new line with its indentation. */
export const space: Expression = choice(optional(text(" ")), sequence(text("\n"), repeat(oneOf(" "), 0, 40)));

const digit = oneOf("0123456789");
/** Fifteen digits: what every reader of JSON holds exactly. */
const whole = choice(text("0"), sequence(oneOf("123456789"), repeat(digit, 0, 14)));
export const integer: Expression = sequence(optional(text("-")), whole);
export const number: Expression = sequence(
  integer,
  optional(sequence(text("."), repeat(digit, 1, 15))),
  optional(sequence(oneOf("eE"), optional(oneOf("+-")), repeat(digit, 1, 2))),
);

/** A value written out. */
export const literal = (value: unknown): Expression => text(JSON.stringify(value));

const hex = oneOf("0123456789abcdefABCDEF");
/** Controls, the quote and the backslash: in a string they are escaped. */
const special: Range[] = [
  [0, 31],
  [34, 34],
  [92, 92],
];
const plain = complement(special);

/** One character of a string; half of a surrogate pair is none. */
const stringChar: Expression = choice(
  chars(...plain),
  sequence(
    text("\\"),
    choice(
      oneOf('"\\/bfnrt'),
      sequence(
        text("u"),
        choice(sequence(oneOf("0123456789abcefABCEF"), hex), sequence(oneOf("dD"), oneOf("01234567"))),
        hex,
        hex,
      ),
    ),
  ),
);

/** A string of so many characters. */
export const jsonString = (least = 0, most = Number.POSITIVE_INFINITY): Expression =>
  sequence(text('"'), repeat(stringChar, least, most), text('"'));

/** A string that the pattern is found in. */
export const patterned = (pattern: string): Expression =>
  sequence(text('"'), escaped(searched(parseRegex(pattern))), text('"'));

/** The same texts as they stand within a string. */
function escaped(expression: Expression): Expression {
  switch (expression.kind) {
    case "chars": {
      const hidden = intersection(expression.ranges, special).flatMap(([first, last]) =>
        Array.from({ length: last - first + 1 }, (_, k) =>
          text(JSON.stringify(String.fromCodePoint(first + k)).slice(1, -1)),
        ),
      );
      const shown = intersection(expression.ranges, plain);
      return choice(...(shown.length > 0 ? [chars(...shown)] : []), ...hidden);
    }
    case "sequence":
      return { ...expression, parts: expression.parts.map(escaped) };
    case "choice":
      return { ...expression, options: expression.options.map(escaped) };
    case "repeat":
      return { ...expression, part: escaped(expression.part) };
    case "rule":
      return expression;
  }
}

const date = "\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])";
const time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
/** Formats of strings that are followed, as patterns; days beyond the 28th are left out, since months differ. */
export const formats: ReadonlyMap<string, string> = new Map([
  ["date", `^(${date})$`],
  ["time", `^(${time})$`],
  ["date-time", `^(${date}T${time})$`],
  ["uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"],
]);

import { RequestError } from "../../schema/index.ts";
import {
  chars,
  choice,
  complement,
  type Expression,
  lastCodePoint,
  nothing,
  type Range,
  repeat,
  sequence,
} from "./expression.ts";

const digits: Range[] = [[48, 57]];
const words: Range[] = [...digits, [65, 90], [95, 95], [97, 122]];
const spaces: Range[] = [
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: Range[] = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
const classes: Readonly<Record<string, readonly Range[]>> = {
  d: digits,
  D: complement(digits),
  w: words,
  W: complement(words),
  s: spaces,
  S: complement(spaces),
};
const controls: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, 0: 0 };

export interface ParsedRegex {
  readonly expression: Expression;
  /** Whether it says that the text begins and ends with it. */
  readonly begins: boolean;
  readonly ends: boolean;
}

/**
 * A regular expression of ECMAScript's syntax with the flags u and, for what isn't regular, without: groups, classes, alternatives and
 * repetitions, with ^ at the very beginning and $ at the very end.
 *
 * @throws RequestError for one that is malformed, or has look-around, back-references, word boundaries or \p
 */
export function parseRegex(pattern: string): ParsedRegex {
  const points = Array.from(pattern, (char) => char.codePointAt(0)!);
  let at = 0;
  const refuse = (what: string): never => {
    throw new RequestError(`the pattern ${JSON.stringify(pattern)} ${what}, at character ${at + 1}`);
  };
  const peek = () => (at < points.length ? String.fromCodePoint(points[at]!) : "");
  const take = () => {
    if (at >= points.length) refuse("ends too early");
    return String.fromCodePoint(points[at++]!);
  };
  const accept = (char: string) => {
    const found = peek() === char;
    if (found) at++;
    return found;
  };
  const begins = accept("^");
  const ends = points.at(-1) === 36 && !escapedEnd(points);
  if (ends) points.pop();
  const expression = alternatives();
  if (at < points.length) refuse("closes a group that isn't open");
  if ((begins || ends) && expression.kind === "choice") refuse("has alternatives beside ^ or $: put them into a group");
  return { expression, begins, ends };

  function alternatives(): Expression {
    const options = [terms()];
    while (accept("|")) options.push(terms());
    return options.length === 1 ? options[0]! : choice(...options);
  }

  function terms(): Expression {
    const parts: Expression[] = [];
    while (at < points.length && peek() !== "|" && peek() !== ")") parts.push(repeated(atom()));
    return parts.length === 1 ? parts[0]! : sequence(...parts);
  }

  function repeated(part: Expression): Expression {
    const [least, most] = bounds();
    if (least === undefined) return part;
    // Whether it takes as little as it can decides what a group matches, not what the whole does.
    accept("?");
    if ("*+?{".includes(peek()) && peek() !== "") refuse("repeats a repetition");
    return repeat(part, least, most);
  }

  function bounds(): [least?: number, most?: number] {
    if (accept("*")) return [0];
    if (accept("+")) return [1];
    if (accept("?")) return [0, 1];
    if (!accept("{")) return [];
    const least = number();
    if (accept("}")) return [least, least];
    if (!accept(",")) refuse("has a { that begins no repetition");
    if (accept("}")) return [least];
    const most = number();
    if (!accept("}") || most < least) refuse("has a { that begins no repetition");
    return [least, most];
  }

  function number(): number {
    let found = "";
    while (/\d/.test(peek())) found += take();
    if (found === "") refuse("has a { that begins no repetition");
    return Number(found);
  }

  function atom(): Expression {
    const char = take();
    if (char === "(") return group();
    if (char === "[") return chars(...bracket());
    if (char === ".") return chars(...complement(lineEnds));
    if (char === "\\") return chars(...escaped());
    if ("*+?{}])^$".includes(char)) {
      at--;
      refuse(`has ${char} where it means nothing or what can't be followed`);
    }
    return single(char.codePointAt(0)!);
  }

  function group(): Expression {
    if (accept("?")) {
      if (accept("<")) {
        if (peek() === "=" || peek() === "!") refuse("looks behind");
        while (take() !== ">");
      } else if (!accept(":")) refuse("looks ahead, or has a group of an unknown kind");
    }
    const inside = alternatives();
    if (!accept(")")) refuse("has a group that isn't closed");
    return inside;
  }

  function bracket(): Range[] {
    const negated = accept("^");
    const ranges: Range[] = [];
    while (!accept("]")) {
      const first = member();
      if (first.length === 1 && first[0]![0] === first[0]![1] && peek() === "-" && points[at + 1] !== 93) {
        at++;
        const [last, ...more] = member();
        if (last === undefined || more.length > 0 || last[0] !== last[1] || last[0] < first[0]![0])
          refuse("has a range that is none");
        ranges.push([first[0]![0], last![1]]);
      } else ranges.push(...first);
    }
    return negated ? complement(ranges) : ranges;
  }

  function member(): Range[] {
    const char = take();
    if (char === "\\") return accept("b") ? [[8, 8]] : accept("-") ? [[45, 45]] : [...escaped()];
    const point = char.codePointAt(0)!;
    return [[point, point]];
  }

  function escaped(): readonly Range[] {
    const char = take();
    const known = classes[char];
    if (known !== undefined) return known;
    const point = controls[char] ?? numbered(char);
    if (point !== undefined) return [[point, point]];
    if (/[a-zA-Z1-9]/.test(char)) refuse(`has \\${char}, which can't be followed`);
    const literal = char.codePointAt(0)!;
    return [[literal, literal]];
  }

  function numbered(kind: string): number | undefined {
    if (kind !== "x" && kind !== "u") return undefined;
    let hex = "";
    if (kind === "u" && accept("{")) while (!accept("}")) hex += take();
    else for (let k = 0; k < (kind === "x" ? 2 : 4); k++) hex += take();
    const point = Number.parseInt(hex, 16);
    if (!/^[0-9a-f]+$/i.test(hex) || point > lastCodePoint) refuse(`has an \\${kind} without its digits`);
    return point;
  }
}

const single = (point: number): Expression => chars([point, point]);

/** Whether the last character is escaped. */
function escapedEnd(points: readonly number[]): boolean {
  let slashes = 0;
  while (points[points.length - 2 - slashes] === 92) slashes++;
  return slashes % 2 === 1;
}

const anything = repeat(chars([0, lastCodePoint]), 0);

/** What has a match of the expression somewhere, as JSON schema's `pattern` means it. */
export const searched = ({ expression, begins, ends }: ParsedRegex): Expression =>
  sequence(begins ? nothing : anything, expression, ends ? nothing : anything);

import { closingBrace, markedAnswer } from "../final-answer.ts";
import { sameAnswer } from "./equal.ts";
import type { Expression } from "./expression.ts";
import { parseExpression } from "./parse.ts";
import { nameWords } from "./tokens.ts";

/** An answer as it is written, and as mathematics where it is any. */
export interface Answer {
  readonly text: string;
  /** Read as a whole; without the words behind a number; the only number among words. */
  readonly readings: readonly Expression[];
}

/** Whether one of `answers`, the ways in which a response's answer can be read, is the reference, as mathematics or as text. */
export function isRight(reference: Answer, answers: readonly Answer[], tolerance: number): boolean {
  return answers.some(
    ({ text, readings }) =>
      text.trim() === reference.text.trim() ||
      (isText(reference) && sameText(text, reference.text)) ||
      readings.some((given) => reference.readings.some((right) => sameAnswer(right, given, { tolerance }))),
  );
}

/** Words, or what can't be read as mathematics. */
const isText = ({ text, readings }: Answer): boolean => readings.length === 0 || /^[\p{L}\s]+$/u.test(plainText(text));

/** The answer that a data set gives: marked as in a response (`#### 72`), or all of it. Undefined where it is too long for one. */
export function referenceAnswer(text: string): Answer | undefined {
  const boxes = lastBoxes(text);
  const marked =
    boxes !== undefined && boxes !== "open" ? boxes : /\n|####/.test(text) ? markedAnswer(text) : undefined;
  const answer = answerOf(marked ?? text);
  return answer.readings.length === 0 && answer.text.length > longestText ? undefined : answer;
}

/** A longer text that is no mathematics is no answer, but how one is found. */
const longestText = 200;

/** The final answer stands in so many of the last characters. */
const longestTail = 20_000;

/**
 * The answer of a response: what it marks as such, else all of a short one, else of its last
 * formula between dollars or LaTeX's brackets and its last number the later. Where words stand around a marked one, each reading of it. None in a response whose last box does not close.
 */
export function responseAnswers(response: string): Answer[] {
  const text = response.slice(-longestTail);
  const boxes = lastBoxes(text);
  if (boxes === "open") return [];
  if (boxes !== undefined) return [answerOf(boxes)];
  const marked = markedAnswer(text);
  if (marked !== undefined) {
    const sentence = marked.replace(/^[*_\s]+|[*_\s]+$/g, "");
    const formulas = firstFormulas(sentence);
    if (formulas !== undefined) return [answerOf(formulas)];
    const cut = sentence.split(/[.!?](?=\s|$)|,(?=\s+[A-Za-z])|\s(?:because|since|as|so|which|where)\s/)[0]!;
    const answer = inProse(cut.replace(/[*_\s]+$/, ""));
    if (answer.readings.length > 0) return [answer];
    const stated = lastStated(cut);
    return [answer, ...(stated === undefined ? [] : [answerOf(stated)])];
  }
  const whole = text.length <= longestText ? inProse(text.trim()) : undefined;
  if (whole !== undefined && whole.readings.length > 0) return [whole];
  const stated = lastStated(text);
  return [...(stated === undefined ? [] : [answerOf(stated)]), ...(whole === undefined ? [] : [whole])];
}

/** Of a text outside of formulas: words are none of its variables. */
function inProse(text: string): Answer {
  const words = text.match(/(?<![\\\p{L}\p{N}{])[A-Za-z]{2,}/gu) ?? [];
  if (words.every((word) => nameWords.includes(word.toLowerCase()))) return { text, readings: expressionsOf(text) };
  return { text, readings: [withoutUnit(text)].filter((reading) => reading !== undefined) };
}

/** Of the last formula and the last number of a text, the later one. */
function lastStated(text: string): string | undefined {
  const formulas = lastFormulas(text);
  const number = numbersIn(formulas === undefined ? text : text.slice(formulas.end)).at(-1);
  return number ?? formulas?.content;
}

function answerOf(text: string): Answer {
  const readings = expressionsOf(text);
  if (readings.length > 0) return { text, readings };
  const numbers = numbersIn(text);
  const only = numbers.length === 1 ? parseExpression(numbers[0]!) : undefined;
  return { text, readings: only === undefined ? [] : [only] };
}

/** A text as a whole, and without the unit at its end. */
const expressionsOf = (text: string): Expression[] =>
  [parseExpression(text), withoutUnit(text)].filter((reading) => reading !== undefined);

/** `5 apples`, `12 cm^2`, `3 square feet` without the words. */
function withoutUnit(text: string): Expression | undefined {
  if (text.length > longestText) return undefined;
  const found =
    /^(.*[\d)}\]%])\s+(?:[A-Za-z]{2,}|[mgshLNJWVAKCF])(?:[ ./·-]+[A-Za-z]+)*(?:\^?\{?[23]\}?|[²³])?\.?$/.exec(
      text.trim(),
    );
  return found === null || /[A-Za-z]{2,}\s/.test(found[1]!) ? undefined : parseExpression(found[1]!);
}

const number =
  /(?<![\p{L}\p{N}_.\\])[-+−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))(?:\s+\d+\/\d+|\s?\/\s?\d+(?:\.\d+)?)?(?:\s?\\?%)?/gu;

/** The numbers of a text: decimals, fractions a/b, mixed ones, percentages, with their signs where these are no minus between two. */
function numbersIn(text: string): string[] {
  return [...text.matchAll(number)].flatMap(({ 0: found, index }) => {
    if (!/\d/.test(found)) return [];
    const isDifference = /^[-+−]/.test(found) && /[\d)]\s*$/.test(text.slice(Math.max(0, index - 8), index));
    return [isDifference ? found.slice(1) : found];
  });
}

/** Whether only "and", "or", commas and the like stand between two answers. */
function isJoint(gap: string): boolean {
  if (gap.length > 40 || gap.includes("\n\n")) return false;
  return ["", "and", "or"].includes(gap.replace(/\\(?:text|quad|qquad)(?![A-Za-z])|[\s\\${}(),;.&]/g, ""));
}

/** The content of the last box, or of the last ones where only "and" and the like stand between them. */
function lastBoxes(text: string): string | "open" | undefined {
  const boxes = [...text.matchAll(/\\(?:boxed|fbox)\s*\{/g)];
  const found: string[] = [];
  let next: number | undefined;
  for (const { index, 0: opening } of boxes.reverse()) {
    const from = index + opening.length;
    const end = closingBrace(text, from);
    if (end === undefined) return "open";
    const gap = next === undefined ? "" : text.slice(end + 1, next);
    if (!isJoint(gap)) break;
    found.unshift(text.slice(from, end));
    next = index;
  }
  return found.length === 0 ? undefined : found.join(" , ");
}

const formula = /\$\$([^$]+)\$\$|\$([^$\n]+)\$|\\\(([\s\S]+?)\\\)|\\\[([\s\S]+?)\\\]/g;

interface Formula {
  readonly content: string;
  readonly from: number;
  readonly end: number;
}

const formulasIn = (text: string): Formula[] =>
  [...text.matchAll(formula)].map(({ 0: whole, 1: a, 2: b, 3: c, 4: d, index }) => ({
    content: (a ?? b ?? c ?? d)!.trim(),
    from: index,
    end: index + whole.length,
  }));

const areJoined = (text: string, one: Formula, next: Formula): boolean => {
  const gap = text.slice(one.end, next.from);
  return gap.trim() !== "" && isJoint(gap);
};

/** The last formula of a text that is an expression, with those before that "and" or a comma joins to it. */
function lastFormulas(text: string): { content: string; end: number } | undefined {
  const all = formulasIn(text);
  let last = all.length - 1;
  while (last >= 0 && parseExpression(all[last]!.content) === undefined) last -= 1;
  if (last < 0) return undefined;
  let first = last;
  while (first > 0 && areJoined(text, all[first - 1]!, all[first]!)) first -= 1;
  return { content: joined(all.slice(first, last + 1)), end: all[last]!.end };
}

/** The formulas with which a text begins. */
function firstFormulas(text: string): string | undefined {
  const all = formulasIn(text);
  if (all[0]?.from !== 0) return undefined;
  let end = 1;
  while (end < all.length && areJoined(text, all[end - 1]!, all[end]!)) end += 1;
  return joined(all.slice(0, end));
}

const joined = (formulas: readonly Formula[]): string => formulas.map(({ content }) => content).join(" , ");

const sameText = (a: string, b: string): boolean => {
  const [one, other] = [plainText(a), plainText(b)];
  return one !== "" && one === other;
};

/** Letters and digits as a reader sees them, in lower case. */
const plainText = (text: string): string =>
  text
    .replace(/\\(?:text|textbf|textit|mathrm|mathbf|mbox|emph)\s*\{([^{}]*)\}/g, "$1")
    .replace(/\\[a-zA-Z]+\s*(?=\{)|[\\${}*_]/g, (part) => (part.length > 1 ? part : ""))
    .replace(/^[\s"']+|[\s"'.,;:]+$/g, "")
    .replace(/\s+/g, " ")
    .toLowerCase();

/** A piece of an expression: a number, a name (of a letter, a function or a LaTeX command without its backslash), or a sign. */
export interface Token {
  readonly kind: "number" | "name" | "sign";
  readonly text: string;
}

/** Commands and characters that only say how it looks, or mean what another writing says. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/(?<!\\)\\[ ,;:!>]|\\(?:quad|qquad|displaystyle|textstyle|limits|thinspace|space)(?![A-Za-z])|~/g, " "],
  [/\\(?:left|right|[bB]igg?[lrm]?)\s*\./g, " "],
  [/\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])/g, " "],
  [/\\[dtc]frac(?![A-Za-z])/g, "\\frac"],
  [/\\[dt]binom(?![A-Za-z])/g, "\\binom"],
  [/\\(?:mathbb|mathcal|mathit|boldsymbol|bm|vec|hat|bar|overline|operatorname\*?)(?![A-Za-z])/g, " "],
  [/\\(?:\$|pounds|euro)|[$€£¥]/g, " "],
  [/\\%|\uFF05/g, "%"],
  [/\^\s*\{?\s*(?:\\circ|°)\s*\}?|\\(?:degree|degrees)(?![A-Za-z])|\\circ(?![A-Za-z])|°/g, " \\deg "],
  [/\\(?:cdot|times|ast|cdotp)(?![A-Za-z])|[×·∙⋅]/g, "*"],
  [/\*\*/g, "^"],
  [/\\div(?![A-Za-z])|[÷∕⁄]/g, "/"],
  [/[−–—]/g, "-"],
  [/\\(?:leq?slant|leq|le)(?![A-Za-z])|≤|<=/g, " \\le "],
  [/\\(?:geq?slant|geq|ge)(?![A-Za-z])|≥|>=/g, " \\ge "],
  [/\\(?:neq|ne)(?![A-Za-z])|≠|!=/g, " \\ne "],
  [/\\lt(?![A-Za-z])/g, "<"],
  [/\\gt(?![A-Za-z])/g, ">"],
  [/\\(?:pm|mp)(?![A-Za-z])|±/g, " \\pm "],
  [/\\cup(?![A-Za-z])|∪/g, " \\cup "],
  [/\\infty(?![A-Za-z])|∞/g, " \\infty "],
  [/\\pi(?![A-Za-z])|π/g, " \\pi "],
  [/\\sqrt(?![A-Za-z])|√/g, " \\sqrt "],
  [/\\in(?![A-Za-z])|∈/g, " \\in "],
  [/\\l?brack(?![A-Za-z])/g, "["],
  [/\\rbrack(?![A-Za-z])/g, "]"],
  [/\\lbrace(?![A-Za-z])/g, "\\{"],
  [/\\rbrace(?![A-Za-z])/g, "\\}"],
  [/\\[lr]?vert(?![A-Za-z])|∣/g, "|"],
  // Thousands: 1,234,567 and 1{,}234 and 1\,234 (the thin space is a space by now).
  [/(?<![\d.])(\d{1,3})((?:\{,\}\d{3})+)(?!\d)/g, "$1$2"],
  [/\{,\}/g, ""],
  [/(?<![\d.,({[]|, )(\d{1,3}(?:,\d{3})+)(?![\d,])/g, "$1"],
];

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Words between two answers. */
const between =
  /\\(?:text|textrm|mathrm|mbox|quad)\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])/g;
/** Words that only say what a number is of, or how it looks. */
const boldText = /\\(?:textbf|mathbf|textit|emph|text|textrm|mathrm|mbox)\s*\{\s*([-+]?[\d.,/ ]+|\(?[A-Za-z]\)?)\s*\}/g;
const units =
  /\\(?:text|textrm|mathrm|mbox|textbf|mathbf|textit|operatorname)\s*\{[^{}]*\}(?:\s*\^\s*\{?\s*-?[23]\s*\}?)?/g;

/** What a string of an answer is written as, in the characters and commands that `tokenise` knows. */
export function plainForm(text: string): string {
  let form = text.replace(
    /[⁰¹²³⁴⁵⁶⁷⁸⁹]+/g,
    (digits) => `^{${[...digits].map((digit) => superscripts.indexOf(digit)).join("")}}`,
  );
  form = form.replace(
    /(\d?)([¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])/g,
    (_, whole: string, fraction: string) => `${whole === "" ? "" : `${whole} `}${fraction.normalize("NFKC")}`,
  );
  form = form.replace(/\\\(|\\\)|\\\[|\\\]/g, " ");
  form = form.replace(/\\\$/g, " ").replace(/\$/g, " ");
  form = form.replace(between, " , ").replace(boldText, "$1").replace(units, " ");
  form = form.replace(/(?<=\d)(?:,?\\[,! ]\s*|~)(?=\d{3}(?!\d))/g, "");
  if (/^\d{1,3}(?:\s\d{3})+$/.test(form.trim())) form = form.replace(/\s/g, "");
  // Of x = 1/3 ≈ 0.33 the exact value counts, of x ≈ 0.33 the rounded one.
  form = form.replace(/(=[^=≈]*?)(?:\\approx(?![A-Za-z])|≈).*$/s, "$1").replace(/\\approx(?![A-Za-z])|≈/g, "=");
  for (const [pattern, by] of replacements) form = form.replace(pattern, by);
  form = form.replace(/(?<![\d.,({[]|, )\d{1,3}(?:,\d{3})+(?![\d,])/g, (number) => number.replaceAll(",", ""));
  // 2 1/2 is two and a half.
  form = form.replace(/(?<![\d./^{])(\d+)\s+(\d+)\s*\/\s*(\d+)(?![\d.])/g, "($1+$2/$3)");
  form = form.replace(/(?<![A-Za-z\\])(\d+(?:\.\d+)?)[eE]([-+]?\d+)(?![\dA-Za-z.])/g, "($1*10^{$2})");
  return form
    .trim()
    .replace(/[.,;:]+$/, "")
    .trim();
}

/** `\begin{pmatrix}` is one name. */
const piece =
  /\s*(?:(\d+\.?\d*|\.\d+)|\\((?:begin|end)\s*\{\w+\}|[A-Za-z]+)|(\\\\|\\[{}|]|[-+*/^_!%=<>|&,;:'()[\]{}])|([A-Za-zα-ωΑ-Ω]))/y;

/** Names that are read as one in plain text; other letters are variables each. */
export const nameWords = [
  "arcsin",
  "arccos",
  "arctan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "sqrt",
  "cbrt",
  "floor",
  "ceil",
  "sin",
  "cos",
  "tan",
  "cot",
  "sec",
  "csc",
  "log",
  "exp",
  "abs",
  "ln",
  "pi",
  "infinity",
  "inf",
];

/** Undefined where something is no piece of an expression, or a word is no name. */
export function tokenise(form: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  const end = form.trimEnd().length;
  while (at < end) {
    const word = wordAt(form, at);
    if (word !== undefined) {
      if (!word.known) return undefined;
      tokens.push({ kind: "name", text: word.text.toLowerCase() });
      at = word.end;
      continue;
    }
    piece.lastIndex = at;
    const found = piece.exec(form);
    if (found === null) return undefined;
    at = piece.lastIndex;
    const [, number, command, sign, letter] = found;
    if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign });
    else tokens.push({ kind: "name", text: (command ?? letter)! });
  }
  return tokens;
}

/** A word in plain text at this place: a known name, or at least four letters that are not a product of variables. */
function wordAt(form: string, from: number): { text: string; end: number; known: boolean } | undefined {
  const found = /^\s*([A-Za-z]{2,})/.exec(form.slice(from, from + 64));
  if (found === null) return undefined;
  const [whole, letters] = found as unknown as [string, string];
  const known = nameWords.find(
    (name) =>
      letters.toLowerCase().startsWith(name) && (letters.length === name.length || letters.length <= name.length + 1),
  );
  if (known !== undefined)
    return {
      text: letters.slice(0, known.length),
      end: from + whole.length - letters.length + known.length,
      known: true,
    };
  return letters.length >= 4 ? { text: letters, end: from + whole.length, known: false } : undefined;
}

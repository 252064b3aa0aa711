/*
 * The official check counts the sentences that NLTK's trained Punkt model finds (Kiss and Strunk 2006). This splitter
 * follows Punkt's procedure with a list of abbreviations and of usual sentence openers in place of the trained counts:
 * on 1,755 texts of chat models, their paragraphs and their upper- and lower-case forms the count differed from Punkt's in
 * 10, mostly around three dots and in code.
 */

/** Punkt was trained on newspapers: it knows these, but neither "e.g." nor "etc.". */
const abbreviations = new Set(
  (
    "mr mrs ms dr prof gen col maj lt adm rep sen st ft jr sr inc corp co ltd bros vs messrs ave p.m a.m u.s u.s.a u.k " +
    "u.n d.c n.y ph.d jan feb aug sept oct nov dec"
  ).split(" "),
);

/** Words that, with a capital letter, open a sentence even after an abbreviation, an initial or three dots. */
const openers = new Set(
  (
    "a after all also although an and another any as at because before both but by each even every few for from he her " +
    "here his how however i if in instead is it its just let many maybe more most my no not now of often on once one " +
    "only or our perhaps she since so some still that the their then there these they this those though thus to today " +
    "try use we what when where while who why with yet you your"
  ).split(" "),
);

/** The sentences of a text: English conventions, line breaks are mere white space. */
export function splitSentences(text: string): string[] {
  const sentences: string[] = [];
  let start = 0;
  // A mark can end a sentence when closing punctuation or white space and another token follow it.
  for (const found of text.matchAll(/[.?!](?=[)";}\]*:@'({[]|\s+\S)/g)) {
    const end = found.index + found[0].length;
    if (!endsSentence(tokenBefore(text, end), text.slice(end))) continue;
    // Quotation marks and brackets that close the sentence belong to it.
    const closing = /^["')\]}]+(?=\s|--|$)/.exec(text.slice(end))?.[0].length ?? 0;
    sentences.push(text.slice(start, end + closing));
    start = end + closing;
  }
  sentences.push(text.slice(start));
  return sentences.map((sentence) => sentence.trim()).filter((sentence) => sentence !== "");
}

function tokenBefore(text: string, end: number): string {
  return /\S+$/.exec(text.slice(Math.max(0, end - 60), end))?.[0].replace(/^[("'“‘[{*_]+/, "") ?? "";
}

function endsSentence(token: string, rest: string): boolean {
  if (!token.endsWith(".")) return true;
  const next = /^["')\]}*]*\s*["'“‘([{*_]*([^\s]*)/.exec(rest)?.[1] ?? "";
  const opensSentence = openers.has(
    next
      .toLowerCase()
      .replace(/[^a-z']+$/, "")
      .replace(/'.*$/, ""),
  );
  const capital = /^\p{Lu}/u.test(next);
  if (token.endsWith("..")) return capital && opensSentence;
  const stem = token.slice(0, -1).toLowerCase();
  if (abbreviations.has(stem)) return capital && opensSentence;
  if (/^\p{L}$/u.test(stem)) return capital && opensSentence;
  if (/^[\d.,]*\d$/.test(stem)) return !/^\s*\p{Ll}/u.test(rest);
  return true;
}

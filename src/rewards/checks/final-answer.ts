/**
 * What a response gives as its answer: of what is marked as such the last, in the order of how plainly it is marked.
 * `\boxed{...}` and `\fbox{...}`, then `#### ...`, then "the answer is ..." with its like. Undefined where nothing is marked.
 */
export function markedAnswer(text: string): string | undefined {
  return lastBoxed(text) ?? lastHashed(text) ?? lastSaid(text);
}

/** The content of the last box, its braces balanced. A box that never closes is none. */
export function lastBoxed(text: string): string | undefined {
  const boxes = [...text.matchAll(/\\(?:boxed|fbox)\s*\{/g)];
  for (const { index, 0: opening } of boxes.reverse()) {
    const from = index + opening.length;
    const end = closingBrace(text, from);
    if (end !== undefined) return text.slice(from, end).trim();
  }
  return undefined;
}

/** Where the brace closes that was opened just before `from`; escaped braces don't count. */
export function closingBrace(text: string, from: number): number | undefined {
  let depth = 1;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at];
    if (character === "\\") at += 1;
    else if (character === "{") depth += 1;
    else if (character === "}") {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return undefined;
}

const lastHashed = (text: string): string | undefined => last(text, /(?:^|\s)####[^\S\n]*((?:(?!\s####)[^\n])*\S)/gm);

/** "The (final, correct) answer is (: =) ...", to the end of its line. */
const lastSaid = (text: string): string | undefined =>
  last(
    text,
    /\b(?:answer|result|solution)\b[*_"']{0,4}\s{0,4}(?::|=|(?:is|are|was|equals|would be|must be|should be)\b)[*_"'\s:]{0,12}(?=([^\s][^\n]{0,500}))/gi,
  );

function last(text: string, pattern: RegExp): string | undefined {
  let found: string | undefined;
  for (const [, answer] of text.matchAll(pattern)) found = answer;
  return found?.trim();
}

/** The marked answer, or the last line that has text. */
export function finalAnswer(text: string): string {
  const marked = markedAnswer(text);
  if (marked !== undefined) return marked;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.at(-1)?.trim() ?? "";
}

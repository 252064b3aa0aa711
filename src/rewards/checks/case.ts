import { z } from "zod";
import { detectLanguage } from "./detect-language.ts";
import { amount, count, defineInstruction, holds, noArgs, relation } from "./instruction.ts";

const anyUpper = /\p{Uppercase}/u;
const anyLower = /\p{Lowercase}/u;
const anyTitle = /\p{Lt}/u;

const isUpperCase = (text: string) => anyUpper.test(text) && !anyLower.test(text) && !anyTitle.test(text);
const isLowerCase = (text: string) => anyLower.test(text) && !anyUpper.test(text) && !anyTitle.test(text);

/** Short texts often hold no word that gives a language away: then Latin letters are taken for English. */
function maybeEnglish(text: string): boolean {
  const { language, script } = detectLanguage(text);
  return language === undefined ? script === "Latin" : language === "en";
}

const englishCapital = defineInstruction({
  id: "change_case:english_capital",
  args: noArgs,
  follows: (text) => isUpperCase(text) && maybeEnglish(text),
  describe: () => "is in English and in capital letters only",
});

const englishLowercase = defineInstruction({
  id: "change_case:english_lowercase",
  args: noArgs,
  follows: (text) => isLowerCase(text) && maybeEnglish(text),
  describe: () => "is in English and in lower-case letters only",
});

const capitalWordFrequency = defineInstruction({
  id: "change_case:capital_word_frequency",
  args: z.strictObject({ capital_frequency: count, capital_relation: relation }),
  follows: (text, { capital_frequency, capital_relation }) =>
    holds(treebankWords(text).filter(isUpperCase).length, capital_relation, capital_frequency),
  describe: ({ capital_frequency, capital_relation }) =>
    `has ${amount(capital_relation, capital_frequency, "word")} in capital letters`,
});

/**
 * Words as the Penn Treebank splits them, which the official check counts: a hyphenated word is one, a contraction two
 * (DO N'T, I 'M), and so is CAN NOT.
 */
function treebankWords(text: string): string[] {
  return text
    .replace(/--|\.\.\.|[;@#$%&?!"“”‘’„«»`()[\]{}<>]|[:,](?!\d)/g, " ")
    .replace(/(?<=[^' ])('S|'M|'D|'LL|'RE|'VE|N'T)(?=\s|[.*]|$)/gi, " $1")
    .replace(/\b(can)(not)\b|\b(d)('ye)\b|\b(gim|lem)(me)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b/gi, (found) => {
      const head = /^(can|d|gim|lem|gon|wan|got)/i.exec(found)![0].length;
      return `${found.slice(0, head)} ${found.slice(head)}`;
    })
    .split(/\s+/)
    .filter((word) => word !== "");
}

export const caseInstructions = [englishCapital, englishLowercase, capitalWordFrequency];

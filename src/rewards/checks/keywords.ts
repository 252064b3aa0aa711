import { z } from "zod";
import { amount, count, defineInstruction, holds, phrase, quoted, relation } from "./instruction.ts";
import { literal, occurrences, wordBoundary } from "./patterns.ts";

// The official code reads a keyword as a regular expression; here it is the text itself, so that "C++" is a keyword too.

const existence = defineInstruction({
  id: "keywords:existence",
  args: z.strictObject({ keywords: z.array(phrase).min(1) }),
  follows: (text, { keywords }) => keywords.every((keyword) => new RegExp(literal(keyword), "iu").test(text)),
  describe: ({ keywords }) => `contains ${quoted(keywords)}`,
});

const frequency = defineInstruction({
  id: "keywords:frequency",
  args: z.strictObject({ keyword: phrase, frequency: count, relation }),
  follows: (text, { keyword, frequency, relation }) =>
    holds(occurrences(text, new RegExp(literal(keyword.trim()), "giu")), relation, frequency),
  describe: ({ keyword, frequency, relation }) => `contains "${keyword}" ${amount(relation, frequency, "time")}`,
});

const forbiddenWords = defineInstruction({
  id: "keywords:forbidden_words",
  args: z.strictObject({ forbidden_words: z.array(phrase).min(1) }),
  follows: (text, { forbidden_words }) =>
    !forbidden_words.some((word) => new RegExp(wordBoundary + literal(word) + wordBoundary, "iu").test(text)),
  describe: ({ forbidden_words }) => `avoids ${quoted(forbidden_words)}`,
});

const letterFrequency = defineInstruction({
  id: "keywords:letter_frequency",
  args: z.strictObject({
    letter: z.string().refine((letter) => [...letter].length === 1 && letter.trim() !== "", "one character"),
    let_frequency: count,
    let_relation: relation,
  }),
  follows(text, { letter, let_frequency, let_relation }) {
    const wanted = letter.toLowerCase();
    const found = [...text.toLowerCase()].filter((character) => character === wanted).length;
    return holds(found, let_relation, let_frequency);
  },
  describe: ({ letter, let_frequency, let_relation }) =>
    `contains the letter "${letter}" ${amount(let_relation, let_frequency, "time")}`,
});

export const keywordInstructions = [existence, frequency, forbiddenWords, letterFrequency];

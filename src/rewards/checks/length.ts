import { z } from "zod";
import { amount, count, defineInstruction, holds, phrase, plural, relation } from "./instruction.ts";
import { occurrences, wordCharacter } from "./patterns.ts";
import { splitSentences } from "./sentences.ts";

/** Words as the official check counts them: runs of word characters, so "don't" is two. */
function countWords(text: string): number {
  return occurrences(text, new RegExp(`${wordCharacter}+`, "gu"));
}

const numberWords = defineInstruction({
  id: "length_constraints:number_words",
  args: z.strictObject({ num_words: count, relation }),
  follows: (text, { num_words, relation }) => holds(countWords(text), relation, num_words),
  describe: ({ num_words, relation }) => `has ${amount(relation, num_words, "word")}`,
});

const numberSentences = defineInstruction({
  id: "length_constraints:number_sentences",
  args: z.strictObject({ num_sentences: count, relation }),
  follows: (text, { num_sentences, relation }) => holds(splitSentences(text).length, relation, num_sentences),
  describe: ({ num_sentences, relation }) => `has ${amount(relation, num_sentences, "sentence")}`,
});

const numberParagraphs = defineInstruction({
  id: "length_constraints:number_paragraphs",
  args: z.strictObject({ num_paragraphs: z.int().min(1) }),
  follows(text, { num_paragraphs }) {
    const parts = text.split("***").map((part) => part.trim());
    // A divider may open or close the text, but there is no empty paragraph between two of them.
    if (parts.slice(1, -1).includes("")) return false;
    return parts.filter((part) => part !== "").length === num_paragraphs;
  },
  describe: ({ num_paragraphs }) => `has ${plural(num_paragraphs, "paragraph")} divided by ***`,
});

const nthParagraphFirstWord = defineInstruction({
  id: "length_constraints:nth_paragraph_first_word",
  args: z
    .strictObject({ num_paragraphs: z.int().min(1), nth_paragraph: z.int().min(1), first_word: phrase })
    .refine(({ num_paragraphs, nth_paragraph }) => nth_paragraph <= num_paragraphs, {
      path: ["nth_paragraph"],
      message: "there are not so many paragraphs",
    }),
  follows(text, { num_paragraphs, nth_paragraph, first_word }) {
    const paragraphs = text.split("\n\n").map((paragraph) => paragraph.trim());
    const filled = paragraphs.filter((paragraph) => paragraph !== "").length;
    // As in the official code, an empty paragraph does not count but keeps its place.
    return filled === num_paragraphs && firstWord(paragraphs[nth_paragraph - 1]!) === first_word.toLowerCase();
  },
  describe: ({ num_paragraphs, nth_paragraph, first_word }) =>
    `has ${plural(num_paragraphs, "paragraph")} divided by an empty line, number ${nth_paragraph} begins with "${first_word}"`,
});

/** The first word in lower case, up to its first punctuation mark; an opening quotation mark is passed over. */
function firstWord(paragraph: string): string {
  const [word = ""] = paragraph.split(/\s/, 1);
  const [letters = ""] = word.replace(/^'*"*/, "").split(/[.,?!'"]/, 1);
  return letters.toLowerCase();
}

export const lengthInstructions = [numberWords, numberSentences, numberParagraphs, nthParagraphFirstWord];

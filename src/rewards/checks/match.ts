import { z } from "zod";
import { editRatio } from "./edit-distance.ts";
import { finalAnswer } from "./final-answer.ts";
import { defineInstruction, quoted } from "./instruction.ts";
import { withinLimit } from "./time-limit.ts";

const answerText = z.union(
  [z.string().refine((text) => text.trim() !== "", "must not be empty"), z.number().transform(String)],
  {
    error: "is no text, number or list of them",
  },
);

/** One right answer, or several, of which the best counts. */
export const answers = z.union([answerText.transform((one) => [one]), z.array(answerText).min(1)], {
  error: "is no text, number or list of them",
});

const matchArgs = z.strictObject({
  answer: answers,
  /** Of the response: all of it, or what it marks as its answer (else its last line). */
  part: z.enum(["whole", "final"]).default("whole"),
});
type MatchArgs = z.infer<typeof matchArgs>;

/** As the official evaluation of SQuAD normalises: lower case, without ASCII punctuation, without articles, single spaces. */
const normalise = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, "")
    .replace(/(?<![\p{L}\p{N}_])(?:an?|the)(?![\p{L}\p{N}_])/gu, " ")
    .split(/\s+/)
    .filter((word) => word !== "")
    .join(" ");

const partOf = (text: string, part: MatchArgs["part"]): string => (part === "final" ? finalAnswer(text) : text);

const best = (text: string, { answer, part }: MatchArgs, rate: (given: string, right: string) => number): number => {
  const given = normalise(partOf(text, part));
  return Math.max(...answer.map((right) => rate(given, normalise(right))));
};

const asked = ({ answer, part }: MatchArgs): string =>
  `${quoted(answer).replaceAll(", ", " or ")}${part === "final" ? " as its final answer" : ""}`;

const exact = defineInstruction({
  id: "match:exact",
  args: matchArgs,
  follows: (text, args) => best(text, args, (given, right) => Number(given === right)),
  describe: (args) => `says ${asked(args)} and nothing else, whatever case, punctuation and articles`,
});

const contains = defineInstruction({
  id: "match:contains",
  args: matchArgs,
  follows: (text, args) => best(text, args, (given, right) => Number(` ${given} `.includes(` ${right} `))),
  describe: (args) => `has ${asked(args)} in it, whatever case, punctuation and articles`,
});

/** Token F1 of SQuAD: of the words that both have, each as often as both have it. */
function f1(given: string, right: string): number {
  const [mine, theirs] = [given, right].map((text) => (text === "" ? [] : text.split(" "))) as [string[], string[]];
  if (mine.length === 0 || theirs.length === 0) return Number(mine.length === theirs.length);
  const counts = new Map<string, number>();
  for (const word of theirs) counts.set(word, (counts.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of mine) {
    const left = counts.get(word) ?? 0;
    if (left === 0) continue;
    counts.set(word, left - 1);
    common += 1;
  }
  return (2 * common) / (mine.length + theirs.length);
}

const tokenF1 = defineInstruction({
  id: "match:f1",
  args: matchArgs,
  follows: (text, args) => best(text, args, f1),
  describe: (args) => `has the words of ${asked(args)} and no others: their F1`,
});

const edits = defineInstruction({
  id: "match:edit_ratio",
  args: matchArgs,
  follows: (text, args) => withinLimit({ what: "the edit distance", overruns: 0 }, () => best(text, args, editRatio)),
  describe: (args) => `is like ${asked(args)}: 1 less the share of characters to edit`,
});

export const matchInstructions = [exact, contains, tokenF1, edits];

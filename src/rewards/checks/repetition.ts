import { z } from "zod";
import { defineInstruction } from "./instruction.ts";
import { wordsOf } from "./word-list.ts";

const ngrams = defineInstruction({
  id: "repetition:ngrams",
  args: z.strictObject({
    /** Words of a run. */
    n: z.int().min(1).max(100),
  }),
  follows(text, { n }) {
    const words = wordsOf(text);
    const runs = words.length - n + 1;
    if (runs < 1) return 1;
    const different = new Set<string>();
    for (let from = 0; from < runs; from += 1) different.add(words.slice(from, from + n).join(" "));
    return different.size / runs;
  },
  describe: ({ n }) => `repeats no run of ${n} words: the share of its runs that are different`,
});

export const repetitionInstructions = [ngrams];

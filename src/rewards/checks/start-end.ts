import { z } from "zod";
import { defineInstruction, noArgs, phrase } from "./instruction.ts";

const endChecker = defineInstruction({
  id: "startend:end_checker",
  args: z.strictObject({ end_phrase: phrase }),
  follows: (text, { end_phrase }) =>
    text.trim().replace(/"+$/, "").toLowerCase().endsWith(end_phrase.trim().toLowerCase()),
  describe: ({ end_phrase }) => `ends with "${end_phrase}"`,
});

const quotation = defineInstruction({
  id: "startend:quotation",
  args: noArgs,
  follows: (text) => /^"[\s\S]*"$/.test(text.trim()),
  describe: () => "stands in double quotation marks",
});

export const startEndInstructions = [endChecker, quotation];

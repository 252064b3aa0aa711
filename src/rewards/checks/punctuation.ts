import { defineInstruction, noArgs } from "./instruction.ts";

const noComma = defineInstruction({
  id: "punctuation:no_comma",
  args: noArgs,
  follows: (text) => !text.includes(","),
  describe: () => "has no comma",
});

export const punctuationInstructions = [noComma];

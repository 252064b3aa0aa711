import { z } from "zod";
import { defineInstruction, noArgs, phrase } from "./instruction.ts";

const twoResponses = defineInstruction({
  id: "combination:two_responses",
  args: noArgs,
  follows(text) {
    const parts = text.split("******").map((part) => part.trim());
    if (parts.slice(1, -1).includes("")) return false;
    const [first, second, ...more] = parts.filter((part) => part !== "");
    return second !== undefined && more.length === 0 && first !== second;
  },
  describe: () => "gives two different responses divided by ******",
});

const repeatPrompt = defineInstruction({
  id: "combination:repeat_prompt",
  args: z.strictObject({ prompt_to_repeat: phrase }),
  follows: (text, { prompt_to_repeat }) => text.trim().toLowerCase().startsWith(prompt_to_repeat.trim().toLowerCase()),
  describe: ({ prompt_to_repeat }) => `begins by repeating "${prompt_to_repeat}"`,
});

export const combinationInstructions = [twoResponses, repeatPrompt];

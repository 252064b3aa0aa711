import { z } from "zod";
import { defineInstruction, quoted } from "./instruction.ts";
import { answers } from "./match.ts";
import { isRight, referenceAnswer, responseAnswers } from "./mathematics/index.ts";
import { withinLimit } from "./time-limit.ts";

const mathAnswer = defineInstruction({
  id: "math:answer",
  args: z.strictObject({
    answer: answers.superRefine((texts, refinement) => {
      for (const [index, text] of texts.entries())
        if (referenceAnswer(text) === undefined)
          refinement.addIssue({
            code: "custom",
            path: texts.length === 1 ? [] : [index],
            message: "is too long for an answer, and has none marked by \\boxed{...} or ####",
          });
    }),
    /** How far a number may be off, as a share of the greater of the two. */
    tolerance: z.number().min(0).lt(1).default(0),
  }),
  follows(text, { answer, tolerance }) {
    return withinLimit({ what: "the comparison of answers", overruns: 0 }, () => {
      const given = responseAnswers(text);
      return answer.some((right) => isRight(referenceAnswer(right)!, given, tolerance));
    });
  },
  describe: ({ answer, tolerance }) =>
    `comes to ${quoted(answer).replaceAll(", ", " or ")}${tolerance > 0 ? `, up to ${100 * tolerance} %` : ""}`,
});

export const mathematicsInstructions = [mathAnswer];

import { z } from "zod";
import { acc, accNorm, choiceScores } from "./choice-scores.ts";
import { defineTask } from "./task.ts";

/** Rows as the hub's data set has them, or as AI2's own files. */
const row = z.union([
  z.object({
    question: z.string(),
    choices: z.object({ text: z.array(z.string()).min(2), label: z.array(z.string()) }),
    answerKey: z.string(),
  }),
  z
    .object({
      question: z.object({
        stem: z.string(),
        choices: z.array(z.object({ text: z.string(), label: z.string() })).min(2),
      }),
      answerKey: z.string(),
    })
    .transform(({ question: { stem, choices }, answerKey }) => ({
      question: stem,
      choices: { text: choices.map(({ text }) => text), label: choices.map(({ label }) => label) },
      answerKey,
    })),
]);
type Row = z.infer<typeof row>;

const checked = row.refine(({ choices, answerKey }) => choices.label.includes(answerKey), {
  path: ["answerKey"],
  error: "is none of the labels of the choices",
});

/** AI2's reasoning challenge, the harder part (Clark et al. 2018): 25 examples, `acc_norm`. */
export const arcChallenge = defineTask<Row>({
  kind: "choices",
  name: "arc_challenge",
  version: 1,
  row: checked,
  splits: { training: "train", validation: "validation", test: "test" },
  config: "ARC-Challenge",
  shots: 25,
  sampler: "drawn",
  metrics: [accNorm, acc],
  whole: 1172,
  choices: ({ question, choices }) =>
    choices.text.map((answer) => ({ before: `Question: ${question}\nAnswer:`, answer })),
  gold: ({ choices, answerKey }) => choices.label.indexOf(answerKey),
  score(document, logLikelihoods) {
    return choiceScores(this.choices(document), [this.gold(document)], logLikelihoods);
  },
  shown: ({ question }) => question,
});

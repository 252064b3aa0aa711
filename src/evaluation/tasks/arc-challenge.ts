import { z } from "zod";
import { acc, accNorm, choiceScores } from "./choice-scores.ts";
import { type Choice, defineTask } from "./task.ts";

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

const choices = ({ question, choices: { text } }: Row): Choice[] =>
  text.map((answer) => ({ before: `Question: ${question}\nAnswer:`, answer }));
const gold = ({ choices: { label }, answerKey }: Row): number => label.indexOf(answerKey);

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
  choices,
  gold,
  score: (document, logLikelihoods) => choiceScores(choices(document), [gold(document)], logLikelihoods),
  shown: ({ question }) => question,
});

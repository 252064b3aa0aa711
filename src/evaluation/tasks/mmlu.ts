import { z } from "zod";
import { acc, argmax } from "./choice-scores.ts";
import { mmluAreas } from "./mmlu-areas.ts";
import { subjectRows } from "./mmlu-files.ts";
import { strip } from "./python-text.ts";
import { defineTask } from "./task.ts";

const letters = ["A", "B", "C", "D"];

const row = z.object({
  question: z.string(),
  subject: z.string().min(1),
  choices: z.array(z.string()).length(4),
  answer: z.union([z.int().min(0).max(3), z.enum(["A", "B", "C", "D"]).transform((letter) => letters.indexOf(letter))]),
});
type Row = z.infer<typeof row>;

/**
 * MMLU (Hendrycks et al. 2021): the first 5 questions of the subject's `dev` split as examples, the letter of the answer scored; the mean
 * over 57 subjects by their sizes.
 */
export const mmlu = defineTask<Row>({
  kind: "choices",
  name: "mmlu",
  version: 2,
  row,
  splits: { test: "test", fewShot: "dev" },
  config: "all",
  rows: subjectRows,
  shots: 5,
  sampler: "first",
  group: ({ subject }) => subject,
  areas: mmluAreas,
  description: ({ subject }) =>
    `The following are multiple choice questions (with answers) about ${subject.replaceAll("_", " ")}.\n\n`,
  metrics: [acc],
  whole: 14_042,
  choices({ question, choices }) {
    const listed = choices.map((choice, at) => `${letters[at]}. ${choice}`).join("\n");
    return letters.map((answer) => ({ before: `${strip(question)}\n${listed}\nAnswer:`, answer }));
  },
  gold: ({ answer }) => answer,
  score: ({ answer }, logLikelihoods) => ({ [acc.key]: Number(argmax(logLikelihoods) === answer) }),
  shown: ({ question }) => question,
});

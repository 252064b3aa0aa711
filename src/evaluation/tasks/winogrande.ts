import { z } from "zod";
import { acc, argmax } from "./choice-scores.ts";
import { strip } from "./python-text.ts";
import { defineTask } from "./task.ts";

const row = z.object({
  sentence: z.string().includes("_", { error: "has no _ where an option belongs" }),
  option1: z.string(),
  option2: z.string(),
  answer: z.enum(["1", "2"]),
});
type Row = z.infer<typeof row>;

/** Winogrande XL (Sakaguchi et al. 2019), its validation split: 5 examples. The end of the sentence is scored after each option. */
export const winogrande = defineTask<Row>({
  kind: "choices",
  name: "winogrande",
  version: 1,
  row,
  splits: { training: "train", validation: "validation" },
  config: "winogrande_xl",
  files: { train: ["train_xl"], validation: ["dev"] },
  shots: 5,
  sampler: "drawn",
  metrics: [acc],
  whole: 1267,
  choices({ sentence, option1, option2 }) {
    const gap = sentence.indexOf("_");
    const answer = strip(sentence.slice(gap + 1));
    return [option1, option2].map((option) => ({ before: sentence.slice(0, gap) + option, answer }));
  },
  gold: ({ answer }) => Number(answer) - 1,
  score: ({ answer }, logLikelihoods) => ({ [acc.key]: Number(argmax(logLikelihoods) === Number(answer) - 1) }),
  shown: ({ sentence, option1, option2 }) => `${sentence} (${option1} / ${option2})`,
});

import { z } from "zod";
import { exactMatch, regexFilter } from "./exact-match.ts";
import { defineTask, type Metric } from "./task.ts";

const row = z.object({ question: z.string(), answer: z.string() });
type Row = z.infer<typeof row>;

const filters = {
  "strict-match": regexFilter(/#### (-?[0-9.,]+)/g, 0),
  "flexible-extract": regexFilter(/(-?[$0-9.,]{2,})|(-?[0-9]+)/g, -1),
};

/** Of both sides: commas, dollar signs, all before the result, and a full stop at the end count for nothing. */
const compared = exactMatch({
  ignored: [/,/g, /\$/g, /[\s\S]*#### /g, /\.(?=\n?$)/g],
  ignoreCase: true,
  ignorePunctuation: false,
});

const metric = (filter: keyof typeof filters, title: string): Metric => ({
  key: `exact_match,${filter}`,
  title,
  of: "mean",
});

/** GSM8K (Cobbe et al. 2021): 5 examples of the training split, the result after `####` compared. */
export const gsm8k = defineTask<Row>({
  kind: "written",
  name: "gsm8k",
  version: 3,
  row,
  splits: { training: "train", fewShot: "train", test: "test" },
  config: "main",
  shots: 5,
  sampler: "drawn",
  metrics: [metric("strict-match", "strict"), metric("flexible-extract", "flexible")],
  whole: 1319,
  question: ({ question }) => `Question: ${question}\nAnswer:`,
  answer: ({ answer }) => answer,
  until: ["Question:", "</s>", "<|im_end|>"],
  maxTokens: 256,
  extract: (text) => Object.fromEntries(Object.entries(filters).map(([name, filter]) => [name, filter(text)])),
  score: ({ answer }, text) =>
    Object.fromEntries(
      Object.entries(filters).map(([name, filter]) => [`exact_match,${name}`, compared(filter(text), answer)]),
    ),
  shown: ({ question }) => question,
});

import { z } from "zod";
import { acc, accNorm, choiceScores } from "./choice-scores.ts";
import { capitalize, strip } from "./python-text.ts";
import { type Choice, defineTask } from "./task.ts";

const row = z.object({
  activity_label: z.string(),
  ctx_a: z.string(),
  ctx_b: z.string(),
  endings: z.array(z.string()).min(2),
  label: z.union([z.string().regex(/^\d+$/).transform(Number), z.int().min(0)]),
});
type Row = z.infer<typeof row>;

const checked = row.refine(({ endings, label }) => label < endings.length, {
  path: ["label"],
  error: "is no place among the endings",
});

/** Texts of WikiHow carry marks in brackets. */
const cleaned = (text: string): string =>
  strip(text)
    .replaceAll(" [title]", ". ")
    .replace(/\[[^\n]*?\]/g, "")
    .replaceAll("  ", " ");

const question = ({ activity_label, ctx_a, ctx_b }: Row) => cleaned(`${activity_label}: ${ctx_a} ${capitalize(ctx_b)}`);

const choices = (document: Row): Choice[] =>
  document.endings.map((ending) => ({ before: question(document), answer: cleaned(ending) }));

/** HellaSwag (Zellers et al. 2019), its validation split: 10 examples, `acc_norm`. */
export const hellaswag = defineTask<Row>({
  kind: "choices",
  name: "hellaswag",
  version: 1,
  row: checked,
  splits: { training: "train", validation: "validation" },
  files: { train: ["hellaswag_train"], validation: ["hellaswag_val"] },
  shots: 10,
  sampler: "drawn",
  metrics: [accNorm, acc],
  whole: 10_042,
  choices,
  gold: ({ label }) => label,
  score: (document, logLikelihoods) => choiceScores(choices(document), [document.label], logLikelihoods),
  shown: question,
});

import { z } from "zod";
import { scoreChecks, scoreChecksLoosely, validateChecks } from "../../rewards/index.ts";
import { DataError, type Prompt } from "../../schema/index.ts";
import { defineTask } from "./task.ts";

const row = z
  .object({
    key: z.union([z.int(), z.string()]),
    prompt: z.string().min(1),
    instruction_id_list: z.array(z.string()).min(1),
    kwargs: z.array(z.record(z.string(), z.unknown())),
  })
  .refine(({ instruction_id_list, kwargs }) => instruction_id_list.length === kwargs.length, {
    path: ["kwargs"],
    error: "has not as many entries as there are instructions",
  });
type Row = z.infer<typeof row>;

/** The prompt with its checks. Arguments that are null belong to other instructions: a table has a column for each. */
const asPrompt = ({ key, prompt, instruction_id_list, kwargs }: Row): Prompt => ({
  id: String(key),
  messages: [{ role: "user", content: prompt }],
  checks: instruction_id_list.map((id, at) => ({
    id,
    args: Object.fromEntries(Object.entries(kwargs[at]!).filter(([, value]) => value !== null && value !== undefined)),
  })),
});

/** What can't be checked is told before anything is asked. */
const checked = row.superRefine((document, context) => {
  try {
    validateChecks([{ prompt: asPrompt(document), place: {} }]);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    context.addIssue({ code: "custom", path: ["instruction_id_list"], message: error.message });
  }
});

const followed = (prompt: Prompt, text: string, rate: typeof scoreChecks): boolean[] =>
  rate(prompt, text).map(({ value }) => value === 1);

/** IFEval (Zhou et al. 2023): instructions that a program can check, strictly and loosely, by prompt and by instruction. */
export const ifeval = defineTask<Row>({
  kind: "written",
  name: "ifeval",
  version: 4,
  row: checked,
  splits: { test: "train" },
  files: { train: ["input_data", "ifeval_input_data", "test"] },
  shots: 0,
  sampler: "drawn",
  metrics: [
    { key: "prompt_level_strict_acc,none", title: "prompt strict", of: "mean" },
    { key: "inst_level_strict_acc,none", title: "instruction strict", of: "share" },
    { key: "prompt_level_loose_acc,none", title: "prompt loose", of: "mean" },
    { key: "inst_level_loose_acc,none", title: "instruction loose", of: "share" },
  ],
  whole: 541,
  deviates:
    "languages and sentences are told without the tables of langdetect and NLTK: of GPT-4's answers 6 of 832 verdicts are not lm-eval's",
  question: ({ prompt }) => prompt,
  answer: () => "",
  until: [],
  maxTokens: 1280,
  score(document, text) {
    const prompt = asPrompt(document);
    const strict = followed(prompt, text, scoreChecks);
    const loose = followed(prompt, text, scoreChecksLoosely);
    return {
      "prompt_level_strict_acc,none": Number(strict.every(Boolean)),
      "inst_level_strict_acc,none": strict,
      "prompt_level_loose_acc,none": Number(loose.every(Boolean)),
      "inst_level_loose_acc,none": loose,
    };
  },
  shown: ({ prompt }) => prompt,
});

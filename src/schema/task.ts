import { z } from "zod";

const split = z.string().min(1).optional();
const text = z.string().min(1);

const metricSchema = z.strictObject({
  metric: z.enum(["acc", "acc_norm", "exact_match"]),
  aggregation: z.literal("mean").default("mean"),
  higher_is_better: z.literal(true).default(true),
  /** Of `exact_match`. */
  ignore_case: z.boolean().default(false),
  ignore_punctuation: z.boolean().default(false),
  regexes_to_ignore: z.array(text).default([]),
});

const filterSchema = z.discriminatedUnion("function", [
  z.strictObject({
    function: z.literal("regex"),
    regex_pattern: text,
    group_select: z.int().default(0),
    fallback: z.string().optional(),
  }),
  z.strictObject({ function: z.literal("take_first") }),
]);

/** What says where lm-eval fetches its data, and what has no bearing on a figure. */
const withoutBearing = {
  dataset_path: z.unknown().optional(),
  dataset_kwargs: z.unknown().optional(),
  tag: z.unknown().optional(),
  should_decontaminate: z.unknown().optional(),
  doc_to_decontamination_query: z.unknown().optional(),
};

/** A task of one's own, in lm-eval's words. Texts are names of fields, or Jinja over the fields of a row. */
export const taskFileSchema = z.strictObject({
  task: text,
  output_type: z.enum(["multiple_choice", "generate_until"]),
  dataset_name: z.string().min(1).nullish(),
  training_split: split,
  validation_split: split,
  test_split: split,
  fewshot_split: split,
  fewshot_config: z.strictObject({ sampler: z.enum(["default", "first_n"]).default("default") }).optional(),
  num_fewshot: z.int().min(0).default(0),
  description: z.string().default(""),
  doc_to_text: text,
  doc_to_target: z.union([text, z.int().min(0)]),
  doc_to_choice: z.union([text, z.array(z.string()).min(2)]).optional(),
  target_delimiter: z.string().default(" "),
  fewshot_delimiter: z.string().default("\n\n"),
  /** The field that names the part of the task which a row belongs to: a figure for each, and one weighted by size. */
  group_by: text.optional(),
  metric_list: z.array(metricSchema).min(1).optional(),
  filter_list: z.array(z.strictObject({ name: text, filter: z.array(filterSchema).min(1) })).optional(),
  generation_kwargs: z
    .strictObject({
      until: z.union([z.string(), z.array(z.string())]).default([]),
      max_gen_toks: z.int().min(1).default(256),
      do_sample: z.literal(false).default(false),
      temperature: z.literal(0).default(0),
    })
    .optional(),
  metadata: z.looseObject({ version: z.union([z.number(), z.string()]).optional() }).optional(),
  ...withoutBearing,
});
export type TaskFile = z.infer<typeof taskFileSchema>;

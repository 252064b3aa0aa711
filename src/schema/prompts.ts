import { z } from "zod";

const column = z.string().min(1).optional();

/** A set of prompts: a file, or the folder of a data set. */
export const promptSetSchema = z.strictObject({
  /** JSONL, Parquet, CSV or Arrow, a row a prompt, or a folder; relative to the recipe's own folder. */
  file: z.string().min(1),
  /** Of a folder: the split; `train` if there are several. */
  split: z.string().min(1).optional(),
  /** Of a folder: the configuration that its README names. */
  config: z.string().min(1).optional(),
  /** Which fields of a row are read, where they have other names or there are more of them. */
  fields: z
    .strictObject({ prompt: column, messages: column, id: column, checks: column, domain: column })
    .refine(({ prompt, messages }) => (prompt === undefined) !== (messages === undefined), {
      error: "either `prompt` or `messages` names the field with the prompt",
    })
    .optional(),
  /** What becomes of a row that breaks the form. */
  bad_rows: z.enum(["error", "skip"]).default("error"),
  /** The first rows only. */
  limit: z.int().min(1).optional(),
});
export type PromptSetRecipe = z.infer<typeof promptSetSchema>;

/** Prompts to train on, and which of them are left out. */
export const trainingPromptsSchema = z.strictObject({
  ...promptSetSchema.shape,
  /** What becomes of a prompt that stands twice. */
  duplicates: z.enum(["error", "drop"]).default("error"),
  /** Likeness (Jaccard's, of pieces of five characters) from which on the later of two prompts is left out. */
  near_duplicates: z.number().gt(0).max(1).optional(),
  /** Looks for prompts that share a run of words with the held-out prompts, or with those of further sets. */
  decontaminate: z
    .strictObject({
      ngram: z.int().min(3).default(13),
      against: z.array(promptSetSchema).default([]),
      action: z.enum(["drop", "report"]).default("drop"),
    })
    .optional(),
  /** So many of those that remain, drawn by the recipe's seed, from each domain its share or as many as from every other. */
  sample: z
    .strictObject({ size: z.int().min(1), domains: z.enum(["proportional", "equal"]).default("proportional") })
    .optional(),
});
export type TrainingPromptsRecipe = z.infer<typeof trainingPromptsSchema>;

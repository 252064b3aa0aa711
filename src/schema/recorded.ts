import { z } from "zod";

const column = z.string().min(1);

/** Responses that were drawn elsewhere: a file, or the folder of a data set, with a row a response. */
export const recordedSchema = z.strictObject({
  /** JSONL, Parquet, CSV, Arrow or a folder; relative to the recipe's own folder. */
  file: z.string().min(1),
  /** What becomes of a row that breaks the form. */
  bad_rows: z.enum(["error", "skip"]).default("error"),
  split: column.optional(),
  config: column.optional(),
  /** Which field of a row is what, where they have other names. A row is matched to a prompt by `prompt_id`, or by the prompt itself. */
  fields: z
    .strictObject({
      prompt_id: column.optional(),
      /** A text, the one turn of the user; or a conversation up to the answer. */
      prompt: column.optional(),
      text: column.default("text"),
      index: column.default("index"),
      finish: column.default("finish"),
      prompt_tokens: column.default("prompt_tokens"),
      response_tokens: column.default("response_tokens"),
    })
    .refine(({ prompt_id, prompt }) => (prompt_id === undefined) !== (prompt === undefined), {
      error: "either `prompt_id` or `prompt` says which prompt a row belongs to",
    })
    .optional(),
});
export type RecordedRecipe = z.infer<typeof recordedSchema>;

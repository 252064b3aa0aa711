import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { issueWords, ModelError } from "../schema/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";

/** What a family reads out of `config`. @throws ModelError with the field that its ZodError names */
export function parsed<Result>(read: () => Result, config: unknown, file: string, hint: string): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const issue = error.issues[0]!;
    const words = issueWords(issue, config);
    throw new ModelError(words.message, {
      file,
      field: issue.path.join("."),
      hint: words.hint === undefined ? hint : `${words.hint} ${hint}`,
      cause: error,
    });
  }
}

export const configHint = "config.json is damaged or of another kind of model: fetch it again, or take another model.";
/** The fields of a folder's config.json. @throws ModelError where it is missing or no JSON object. */
export function readConfig(folder: string): Record<string, unknown> {
  const file = join(folder, "config.json");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ModelError("the model folder has no readable config.json", {
      file,
      cause: error,
      hint: "A model folder holds config.json, tokenizer.json and safetensors files.",
    });
  }
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (error) {
    throw new ModelError("config.json is no JSON object", {
      file,
      cause: error,
      hint: "The file is damaged or only half downloaded: fetch it again.",
    });
  }
}

/** @throws ModelError where the tokenizer has more tokens than the embedding has rows. */
export function assertRows(
  { vocabularySize: rows }: { readonly vocabularySize: number },
  { vocabularySize: tokens }: Pick<Tokenizer, "vocabularySize">,
  file: string,
): void {
  if (tokens > rows)
    throw new ModelError(`the tokenizer has ${tokens} tokens, the embedding only ${rows} rows`, {
      file,
      field: "vocab_size",
      hint: "The tokenizer belongs to another model, or the embedding was not resized with it.",
    });
}

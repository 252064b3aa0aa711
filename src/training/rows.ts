import { DataError, type OptimisationRecipe, type Turn } from "../schema/index.ts";
import type { Bundle } from "../scoring/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";

/** A prompt with the texts to learn from, in the objective's order. */
export interface TextRow {
  readonly id: string;
  readonly messages: readonly Turn[];
  readonly responses: readonly string[];
  /** Tools that the chat template may offer to the model. */
  readonly tools?: readonly unknown[];
}

/** The same as token ids. */
export interface TrainingRow extends Bundle {
  readonly id: string;
}

export interface TokenisedRows {
  readonly rows: readonly TrainingRow[];
  /** Rows that did not fit and were left out, by id. */
  readonly dropped: readonly string[];
  /** Rows whose prompt lost its beginning, by id. */
  readonly shortened: readonly string[];
}

export type LengthLimits = Pick<OptimisationRecipe, "max_length" | "max_prompt_length" | "overlong">;

/**
 * Token ids of each row: the prompt by the model's own chat template with the generation prompt, each response as its
 * text and the end-of-turn token once. The limits hold for the prompt, and for the prompt with its longest response.
 * What exceeds them is handled as `overlong` says, and named: dropped, or the prompt's end kept (a row whose responses
 * alone are too long is dropped even so); a response is never cut.
 *
 * @throws DataError for an overlong row where `overlong` is "error".
 */
export function tokeniseRows(texts: readonly TextRow[], tokenizer: Tokenizer, limits: LengthLimits): TokenisedRows {
  const rows: TrainingRow[] = [];
  const dropped: string[] = [];
  const shortened: string[] = [];
  for (const { id, messages, responses: answers, tools } of texts) {
    const prompt = tokenizer.encodePrompt(messages, tools === undefined ? {} : { variables: { tools } });
    const responses = answers.map((text) => tokenizer.encodeResponse(text));
    const longest = Math.max(...responses.map((response) => response.length));
    const room = Math.min(limits.max_prompt_length, limits.max_length - longest);
    if (prompt.length <= room) {
      rows.push({ id, prompt, responses });
    } else if (limits.overlong === "error") {
      throw new DataError(
        `prompt ${id} has ${prompt.length} tokens and its longest response ${longest}; the limits are ${limits.max_prompt_length} for the prompt and ${limits.max_length} together`,
        {
          hint: "Raise max_length and max_prompt_length, or set overlong to drop or keep_end.",
        },
      );
    } else if (limits.overlong === "keep_end" && room >= 1) {
      rows.push({ id, prompt: prompt.slice(-room), responses });
      shortened.push(id);
    } else {
      dropped.push(id);
    }
  }
  return { rows, dropped, shortened };
}

import type { RowRole } from "../objectives/index.ts";
import { DataError, type OptimisationRecipe, type Place, type Turn, type WrpoRecipe } from "../schema/index.ts";
import type { Bundle } from "../scoring/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { referenceTokens } from "./reference-tokens.ts";

/** A prompt with the texts to learn from, in the objective's order. */
export interface TextRow {
  readonly id: string;
  readonly messages: readonly Turn[];
  readonly responses: readonly string[];
  /** What each response is, where a row has not just those that the objective compares, in its order. */
  readonly roles?: readonly RowRole[];
  /** Tools that the chat template may offer to the model. */
  readonly tools?: readonly unknown[];
}

/** The same as token ids. */
export interface TrainingRow extends Bundle {
  readonly id: string;
  readonly roles?: readonly RowRole[];
}

/** Tokens of a response's head: as many as the shortest of the row's own responses has. */
export function headLengths({ responses, roles }: TrainingRow): number[] {
  const own = responses.filter((_, k) => roles?.[k] !== "mismatched");
  const shortest = Math.min(...own.map((response) => response.length));
  return responses.map((response) => Math.min(shortest, response.length));
}

export interface TokenisedRows {
  readonly rows: readonly TrainingRow[];
  /** Rows that did not fit and were left out, by id. */
  readonly dropped: readonly string[];
  /** Rows whose prompt lost its beginning, by id. */
  readonly shortened: readonly string[];
  /** Rows whose responses lost their ends, by id: by the reference code's tokenisation only. */
  readonly cut: readonly string[];
  /** Rows that have no tokens: the chat template refuses them, or a text has no UTF-8 form. */
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
}

export interface LengthLimits extends Pick<OptimisationRecipe, "max_length" | "max_prompt_length" | "overlong"> {
  /** `wrpo_reference` makes tokens and cuts as `referenceTokens` does, and knows no `overlong`; `own` unless given. */
  readonly tokenisation?: WrpoRecipe["tokenisation"];
}

/**
 * Token ids of each row: the prompt by the model's own chat template with the generation prompt, each response as its
 * text and the end-of-turn token once. The limits hold for the prompt, and for the prompt with its longest response.
 * What exceeds them is handled as `overlong` says, and named: dropped, or the prompt's end kept (a row whose responses
 * alone are too long is dropped even so); a response is never cut. What the chat template refuses is left out and named.
 *
 * @throws DataError for an overlong row where `overlong` is "error".
 */
export function tokeniseRows(texts: readonly TextRow[], tokenizer: Tokenizer, limits: LengthLimits): TokenisedRows {
  const rows: TrainingRow[] = [];
  const dropped: string[] = [];
  const shortened: string[] = [];
  if (limits.tokenisation === "wrpo_reference") return referenceRows(texts, tokenizer, limits);
  const { made, refused } = madeOf(texts, ({ messages, responses, tools }) => ({
    prompt: tokenizer.encodePrompt(messages, tools === undefined ? {} : { variables: { tools } }),
    responses: responses.map((text) => tokenizer.encodeResponse(text)),
  }));
  for (const { id, roles, prompt, responses } of made) {
    const named = roles === undefined ? { id } : { id, roles };
    const longest = Math.max(...responses.map((response) => response.length));
    const room = Math.min(limits.max_prompt_length, limits.max_length - longest);
    if (prompt.length <= room) {
      rows.push({ ...named, prompt, responses });
    } else if (limits.overlong === "error") {
      throw tooLong(`prompt ${id}`, { prompt: prompt.length, longest }, limits);
    } else if (limits.overlong === "keep_end" && room >= 1) {
      rows.push({ ...named, prompt: prompt.slice(-room), responses });
      shortened.push(id);
    } else {
      dropped.push(id);
    }
  }
  return { rows, dropped, shortened, cut: [], refused };
}

/** The rows with what is made of each, and those of which nothing can be made, as the data are refused. */
function madeOf<Made>(texts: readonly TextRow[], make: (text: TextRow) => Made) {
  const refused: { id: string; reason: string }[] = [];
  const made = texts.flatMap((text) => {
    try {
      return { id: text.id, roles: text.roles, ...make(text) };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      refused.push({ id: text.id, reason: error.message });
      return [];
    }
  });
  return { made, refused };
}

/** The error for a row whose prompt has so many tokens, and the longest of its responses. */
export function tooLong(
  what: string,
  { prompt, longest }: { readonly prompt: number; readonly longest: number },
  { max_prompt_length, max_length }: LengthLimits,
  place: Place = {},
): DataError {
  return new DataError(
    `${what} has ${prompt} tokens and its longest response ${longest}; the limits are ${max_prompt_length} for the prompt and ${max_length} together`,
    { ...place, hint: "Raise max_length and max_prompt_length, or set overlong to drop or keep_end." },
  );
}

function referenceRows(texts: readonly TextRow[], tokenizer: Tokenizer, limits: LengthLimits): TokenisedRows {
  const { made, refused } = madeOf(texts, (text) => referenceTokens(text, tokenizer, limits));
  const ids = (which: "shortened" | "cut") => made.flatMap(({ id, [which]: so }) => (so ? [id] : []));
  return {
    rows: made.map(({ id, roles, prompt, responses }) => ({
      ...(roles === undefined ? { id } : { id, roles }),
      prompt,
      responses,
    })),
    dropped: [],
    shortened: ids("shortened"),
    cut: ids("cut"),
    refused,
  };
}

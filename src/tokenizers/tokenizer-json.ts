import { z } from "zod";
import { issueWords, ModelError } from "../schema/index.ts";

const componentSchema = z.looseObject({ type: z.string() });
/** A normalizer, pre-tokenizer, post-processor or decoder of a tokenizer.json. */
export type Component = z.infer<typeof componentSchema>;

const addedTokenSchema = z.looseObject({
  id: z.int().min(0),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});
export type AddedToken = z.infer<typeof addedTokenSchema>;

/** Token -> id (BPE, WordPiece), or the tokens in id order with their scores (Unigram). */
export type Vocabulary = Readonly<Record<string, number>> | readonly (readonly [string, number])[];
export type Merge = readonly [left: string, right: string];

const isId = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isScoredToken = (entry: unknown) =>
  Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string" && typeof entry[1] === "number";

// Plain loops: a vocabulary has 10^5 entries and merges up to 10^6, too many for a schema of each.
const vocabularySchema = z.custom<Vocabulary>(
  (value) =>
    Array.isArray(value)
      ? value.every(isScoredToken)
      : typeof value === "object" && value !== null && Object.values(value).every(isId),
  "expected token -> id, or a list of [token, score]",
);

const mergesSchema = z.unknown().transform((value, context): readonly Merge[] => {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    context.addIssue({ code: "custom", message: "expected a list of pairs" });
    return z.NEVER;
  }
  const merges: Merge[] = [];
  for (const [index, merge] of value.entries()) {
    const pair: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string") {
      context.addIssue({ code: "custom", message: "expected two tokens", path: [index] });
      return z.NEVER;
    }
    merges.push([pair[0], pair[1]]);
  }
  return merges;
});

export const tokenizerJsonSchema = z.looseObject({
  added_tokens: z
    .array(addedTokenSchema)
    .nullish()
    .transform((tokens) => tokens ?? []),
  normalizer: componentSchema.nullable().default(null),
  pre_tokenizer: componentSchema.nullable().default(null),
  post_processor: componentSchema.nullable().default(null),
  decoder: componentSchema.nullable().default(null),
  model: z.looseObject({
    type: z.string().optional(),
    vocab: vocabularySchema,
    merges: mergesSchema.optional(),
    unk_token: z.string().nullish(),
  }),
});
/** A tokenizer.json of the Hugging Face `tokenizers` library, merges as pairs. */
export type TokenizerJson = z.infer<typeof tokenizerJsonSchema>;

const namedTokenSchema = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)])
  .nullish();

const namedTokensShape = {
  bos_token: namedTokenSchema,
  eos_token: namedTokenSchema,
  unk_token: namedTokenSchema,
  sep_token: namedTokenSchema,
  pad_token: namedTokenSchema,
  cls_token: namedTokenSchema,
  mask_token: namedTokenSchema,
};
/** The special tokens that have a name of their own, in the order of `transformers`. */
export const namedTokenKeys = Object.keys(namedTokensShape) as (keyof typeof namedTokensShape)[];

export const specialTokensMapSchema = z.looseObject(namedTokensShape);

export const tokenizerConfigSchema = z.looseObject({
  ...namedTokensShape,
  add_bos_token: z.boolean().nullish(),
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
});
/** What of a tokenizer_config.json is used here; the rest is kept as it is. */
export type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;

/**
 * Parses outside JSON by a schema.
 * @throws ModelError with the file and the field that is wrong.
 */
export function parseJson<Schema extends z.ZodType>(text: string, schema: Schema, file: string): z.infer<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(`not valid JSON: ${(cause as Error).message}`, {
      file,
      cause,
      hint: "The file is damaged or only half downloaded: fetch it again.",
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new ModelError(issueWords(issue, value).message, {
    file,
    field: issue.path.join("."),
    hint: "The file is not in the format that Hugging Face's libraries write: save the tokenizer again with them.",
  });
}

/**
 * Checks what a byte-pair model needs: both parts of each merge and their union are tokens.
 * @throws ModelError naming the first merge that isn't so.
 */
export function checkMerges(json: TokenizerJson, file: string, field: string): void {
  const { vocab, merges } = json.model;
  if (merges === undefined || Array.isArray(vocab)) return;
  const prefix = typeof json.model.continuing_subword_prefix === "string" ? json.model.continuing_subword_prefix : "";
  for (const [index, [left, right]] of merges.entries()) {
    const merged = left + (prefix !== "" && right.startsWith(prefix) ? right.slice(prefix.length) : right);
    const unknown = [left, right, merged].find((token) => !Object.hasOwn(vocab, token));
    if (unknown === undefined) continue;
    throw new ModelError(
      `merge ${index} ("${left}" + "${right}") names the token "${unknown}", which is not in the vocabulary`,
      {
        file,
        field: `${field}.${index}`,
        hint: "Merges and vocabulary are of different tokenizers, or the file is damaged: fetch it again.",
      },
    );
  }
}

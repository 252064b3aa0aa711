import { z } from "zod";
import { issueWords, ModelError } from "../schema/index.ts";

const strings = z.custom<readonly string[]>(
  (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
  "expected a list of strings",
);
const numbers = z.custom<ArrayLike<number>>(
  (value) =>
    Array.isArray(value)
      ? value.every((item) => typeof item === "number")
      : ArrayBuffer.isView(value) && "length" in value,
  "expected a list of numbers",
);
const integer = z.union([z.int(), z.bigint().transform(Number)]);

const shape = {
  "general.architecture": z.string(),
  "tokenizer.ggml.model": z.string(),
  "tokenizer.ggml.pre": z.string().optional(),
  "tokenizer.ggml.tokens": strings,
  "tokenizer.ggml.scores": numbers.optional(),
  "tokenizer.ggml.token_type": numbers.optional(),
  "tokenizer.ggml.merges": strings.optional(),
  "tokenizer.ggml.bos_token_id": integer.optional(),
  "tokenizer.ggml.eos_token_id": integer.optional(),
  "tokenizer.ggml.eot_token_id": integer.optional(),
  "tokenizer.ggml.unknown_token_id": integer.optional(),
  "tokenizer.ggml.padding_token_id": integer.optional(),
  "tokenizer.ggml.add_bos_token": z.boolean().optional(),
  "tokenizer.ggml.add_space_prefix": z.boolean().optional(),
  "tokenizer.chat_template": z.string().optional(),
};
const schema = z.object(shape);

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The tokenizer's part of a GGUF file's metadata, under llama.cpp's names without their prefix. */
export interface GgufTokenizerMetadata {
  readonly architecture: string;
  readonly model: string;
  readonly pre: string | undefined;
  readonly tokens: readonly string[];
  readonly scores: ArrayLike<number> | undefined;
  readonly tokenType: ArrayLike<number> | undefined;
  readonly merges: readonly string[] | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly eotId: number | undefined;
  readonly unknownId: number | undefined;
  readonly paddingId: number | undefined;
  readonly addBos: boolean | undefined;
  readonly addSpacePrefix: boolean | undefined;
  readonly chatTemplate: string | undefined;
}

/**
 * Takes the tokenizer's part out of a GGUF file's metadata.
 * @param metadata the file's keys with their parsed values.
 * @throws ModelError for a key that is missing, of the wrong type, or at odds with the number of tokens.
 */
export function parseGgufMetadata(metadata: ReadonlyMap<string, unknown>, file: string): GgufTokenizerMetadata {
  const wanted = Object.fromEntries(Object.keys(shape).map((key) => [key, metadata.get(key)]));
  const result = schema.safeParse(wanted);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const field = issue.path.join(".");
    throw new ModelError(
      metadata.has(field) ? issueWords(issue, wanted).message : "the tokenizer's metadata is missing",
      {
        file,
        field,
        hint: "The GGUF file holds no whole tokenizer: convert the model again, or take another file.",
      },
    );
  }
  const values = result.data;
  const read = {
    architecture: values["general.architecture"],
    model: values["tokenizer.ggml.model"],
    pre: values["tokenizer.ggml.pre"],
    tokens: values["tokenizer.ggml.tokens"],
    scores: values["tokenizer.ggml.scores"],
    tokenType: values["tokenizer.ggml.token_type"],
    merges: values["tokenizer.ggml.merges"],
    bosId: values["tokenizer.ggml.bos_token_id"],
    eosId: values["tokenizer.ggml.eos_token_id"],
    eotId: values["tokenizer.ggml.eot_token_id"],
    unknownId: values["tokenizer.ggml.unknown_token_id"],
    paddingId: values["tokenizer.ggml.padding_token_id"],
    addBos: values["tokenizer.ggml.add_bos_token"],
    addSpacePrefix: values["tokenizer.ggml.add_space_prefix"],
    chatTemplate: values["tokenizer.chat_template"],
  };
  checkSizes(values, read.tokens.length, file);
  return read;
}

function checkSizes(values: z.infer<typeof schema>, count: number, file: string): void {
  for (const field of ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"] as const) {
    const length = values[field]?.length ?? count;
    if (length !== count) {
      throw new ModelError(`has ${length} entries for ${count} tokens`, {
        file,
        field,
        hint: "The file is damaged: fetch it again.",
      });
    }
  }
  for (const name of ["bos", "eos", "eot", "unknown", "padding"] as const) {
    const field = `tokenizer.ggml.${name}_token_id` as const;
    const id = values[field];
    if (id !== undefined && (id < 0 || id >= count)) {
      throw new ModelError(`the id ${id} is outside the vocabulary of ${count} tokens`, { file, field });
    }
  }
}

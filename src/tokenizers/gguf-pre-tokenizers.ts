import { ModelError } from "../schema/index.ts";
import type { Component } from "./tokenizer-json.ts";

/** How a byte-level tokenizer cuts text before the merges. */
export interface PreTokenization {
  readonly normalizer: Component | null;
  readonly preTokenizer: Component;
  /** Whether a piece that is a token as a whole is taken so, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether BOS begins a text where the file doesn't say. */
  readonly addsBos: boolean;
}

const byteLevel = (useRegex: boolean): Component => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: Component[]): Component => ({ type: "Sequence", pretokenizers });
const splitBy = (...alternatives: string[]): Component =>
  sequence(
    { type: "Split", pattern: { Regex: alternatives.join("|") }, behavior: "Isolated", invert: false },
    byteLevel(false),
  );

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const word = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const punctuation = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const punctuationOrSlashes = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*";
const spaces = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const capitalised = `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+`;
const shouted = `[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*`;

const plain = { normalizer: null, ignoreMerges: false, addsBos: false };
const gpt2: PreTokenization = { ...plain, preTokenizer: byteLevel(true) };
const singleDigits: PreTokenization = {
  ...plain,
  preTokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
};
const qwen2: PreTokenization = {
  ...plain,
  normalizer: { type: "NFC" },
  preTokenizer: splitBy(contractions, word, "\\p{N}", punctuation, spaces),
};
const llama3: PreTokenization = {
  normalizer: null,
  ignoreMerges: true,
  addsBos: true,
  preTokenizer: splitBy(contractions, word, "\\p{N}{1,3}", punctuation, spaces),
};
const tekken: PreTokenization = {
  normalizer: null,
  ignoreMerges: true,
  addsBos: true,
  preTokenizer: splitBy(capitalised, shouted, "\\p{N}", punctuationOrSlashes, spaces),
};
const gpt4o: PreTokenization = {
  ...plain,
  preTokenizer: splitBy(
    `${capitalised}${contractions}?`,
    `${shouted}${contractions}?`,
    "\\p{N}{1,3}",
    punctuationOrSlashes,
    spaces,
  ),
};

/** `tokenizer.ggml.pre` -> the pre-tokenization of the original tokenizers of that name. */
const originals: Readonly<Record<string, PreTokenization>> = {
  "gpt-2": gpt2,
  "phi-2": gpt2,
  smollm: singleDigits,
  starcoder: singleDigits,
  refact: singleDigits,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  "llama-bpe": llama3,
  "llama-v3": llama3,
  llama3,
  tekken,
  "gpt-4o": gpt4o,
  llama4: gpt4o,
};

export const knownPreTokenizers: readonly string[] = Object.keys(originals);

/** Whose reading of a GGUF file's tokenizer is followed where the two differ. */
export type GgufReading = "transformers" | "original";

/**
 * The pre-tokenization that a GGUF file names. `transformers` (5.23) reads it in its own way: it knows the splits of
 * most names, but takes GPT-2's for those with single digits, and neither normalizes nor ignores merges.
 * @throws ModelError for a name that is missing or not in the table, listing those that are.
 */
export function preTokenization(name: string | undefined, reading: GgufReading, file: string): PreTokenization {
  const found = name !== undefined && Object.hasOwn(originals, name) ? originals[name] : undefined;
  if (found !== undefined) {
    if (reading === "original") return found;
    const preTokenizer = found === singleDigits ? gpt2.preTokenizer : found.preTokenizer;
    return { ...found, preTokenizer, normalizer: null, ignoreMerges: false };
  }
  const what = name === undefined ? "the file doesn't name its pre-tokenizer" : `unknown pre-tokenizer "${name}"`;
  throw new ModelError(what, {
    file,
    field: "tokenizer.ggml.pre",
    hint: `Known: ${knownPreTokenizers.join(", ")}. Otherwise take the model's Hugging Face folder.`,
  });
}

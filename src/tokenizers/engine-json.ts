import { ModelError } from "../schema/index.ts";
import { adaptNormalizer } from "./engine-normalizer.ts";
import type { Component, TokenizerJson } from "./tokenizer-json.ts";

/** GPT-2's pre-tokenization, which the ByteLevel pre-tokenizer has built in. */
export const gpt2Split = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const isolate = (regex: string): Component => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});
const keepMatches = (regex: string): Component => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Removed",
  invert: true,
});
const escapeForClass = (character: string) => character.replace(/[\\\]^-]/gu, "\\$&");

/**
 * Rewrites a tokenizer.json so that `@huggingface/tokenizers` computes what Hugging Face's Rust library does. Its
 * regular expressions follow Unicode where they are given as `Split`, but several built-in pre-tokenizers fall back on
 * JavaScript's `\d`, `\w` and `\s` (ASCII digits; U+FEFF a space, U+0085 none), and some options are not carried out.
 * Each is said here by an equal `Split`; what can't be said is refused.
 * @throws ModelError for a pre-tokenizer or added token that the engine would carry out differently.
 */
export function adaptForEngine(json: TokenizerJson, file: string): TokenizerJson {
  const singleWord = json.added_tokens.find((token) => token.single_word);
  if (singleWord !== undefined) {
    throw new ModelError(`the added token "${singleWord.content}" is a single_word token, which is not supported`, {
      file,
      field: "added_tokens",
    });
  }
  const steps = json.pre_tokenizer === null ? [] : preTokenizerSteps(json.pre_tokenizer, json.normalizer, file);
  const normalizer = adaptNormalizer(json.normalizer);
  return { ...json, normalizer, pre_tokenizer: steps.length === 0 ? null : { type: "Sequence", pretokenizers: steps } };
}

function preTokenizerSteps(step: Component, normalizer: Component | null, file: string): Component[] {
  switch (step.type) {
    case "Sequence":
      return (step.pretokenizers as Component[]).flatMap((child) => preTokenizerSteps(child, normalizer, file));
    case "Digits":
      return [isolate(step.individual_digits === true ? "\\p{N}" : "\\p{N}+")];
    case "Whitespace":
      return [keepMatches("\\w+|[^\\w\\s]+")];
    case "WhitespaceSplit":
      return [keepMatches("\\S+")];
    case "ByteLevel":
      return byteLevelSteps(step);
    case "Metaspace":
      return metaspaceSteps(step);
    case "Split":
      return splitSteps(step, normalizer, file);
    default:
      return [step];
  }
}

function byteLevelSteps(step: Component): Component[] {
  const prefix: Component = { type: "Replace", pattern: { Regex: "\\A(?=[^ ])" }, content: " " };
  return [
    ...(step.add_prefix_space === true ? [prefix] : []),
    ...(step.use_regex === false ? [] : [isolate(gpt2Split)]),
    { ...step, add_prefix_space: false, use_regex: false },
  ];
}

function metaspaceSteps(step: Component): Component[] {
  const replacement = typeof step.replacement === "string" ? step.replacement : "\u2581";
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  const space = escapeForClass(replacement);
  return [
    { ...step, replacement, prepend_scheme: scheme },
    ...(step.split === false ? [] : [isolate(`[${space}][^${space}]*`)]),
  ];
}

function splitSteps(step: Component, normalizer: Component | null, file: string): Component[] {
  const { behavior, invert } = step;
  if (behavior === "Isolated") return [{ ...step, invert: false }];
  if (behavior === "Removed") return [step];
  const literal = (step.pattern as { String?: string } | undefined)?.String;
  const replaced =
    normalizer?.type === "Replace" ? (normalizer.pattern as { String?: string } | undefined)?.String : undefined;
  // Gemma splits at spaces after its normalizer has left none.
  if (invert !== true && literal !== undefined && literal === replaced) return [];
  throw new ModelError(`the pre-tokenizer Split with the behavior "${String(behavior)}" is not supported`, {
    file,
    field: "pre_tokenizer.behavior",
    hint: "Supported: Isolated, Removed.",
  });
}

import { ModelError } from "../schema/index.ts";
import { namedTokenKeys, type TokenizerConfig, type TokenizerJson } from "./tokenizer-json.ts";

export type NamedTokens = Partial<Record<(typeof namedTokenKeys)[number], string>>;

/** The special tokens that the configuration names: `bos_token` and the like, only those that are set. */
export function namedTokens(config: TokenizerConfig): NamedTokens {
  return Object.fromEntries(namedTokenKeys.flatMap((key) => (config[key] ? [[key, config[key]]] : [])));
}

/**
 * The tokenizer with every named token among its added ones, as `transformers` has it.
 * @throws ModelError for a named token that has no id.
 */
export function withNamedTokens(json: TokenizerJson, config: TokenizerConfig, file: string): TokenizerJson {
  const known = new Set(json.added_tokens.map((token) => token.content));
  const added = [...json.added_tokens];
  for (const [key, content] of Object.entries(namedTokens(config))) {
    if (known.has(content)) continue;
    known.add(content);
    const id = idInVocabulary(json, content);
    if (id === undefined) {
      throw new ModelError(`the ${key} "${content}" is not in the vocabulary`, {
        file,
        field: key,
        hint: "tokenizer_config.json and tokenizer.json are of different tokenizers: fetch both again.",
      });
    }
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    added.push({ id, content, ...flags });
  }
  return { ...json, added_tokens: added };
}

function idInVocabulary({ model }: TokenizerJson, token: string): number | undefined {
  if (Array.isArray(model.vocab)) {
    const index = model.vocab.findIndex(([content]) => content === token);
    return index < 0 ? undefined : index;
  }
  const vocabulary = model.vocab as Readonly<Record<string, number>>;
  return Object.hasOwn(vocabulary, token) ? vocabulary[token] : undefined;
}

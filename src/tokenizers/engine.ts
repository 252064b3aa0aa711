import { Tokenizer as Engine } from "@huggingface/tokenizers";
import { DataError, ModelError } from "../schema/index.ts";
import { adaptForEngine } from "./engine-json.ts";
import { setCharsMaps } from "./engine-normalizer.ts";
import type { AddedToken, TokenizerJson } from "./tokenizer-json.ts";

/** Which tokens written in a text are recognised: all added ones, all but the special ones, or none. */
export type Recognise = "all" | "ordinary" | "none";

export interface TokenEngine {
  encode(text: string, recognise: Recognise): number[];
  token(id: number): string | undefined;
  id(token: string): number | undefined;
  /** Text of tokens by the decoder of the tokenizer.json, special tokens included. */
  decode(ids: number[]): string;
  readonly vocabularySize: number;
}

/**
 * Builds the tokenization pipeline of a tokenizer.json.
 * @throws ModelError where the file asks for a component that is unknown or not supported.
 */
export function createEngine(json: TokenizerJson, file: string): TokenEngine {
  const adapted = adaptForEngine(json, file);
  const all = build(adapted, file);
  setCharsMaps(all.normalizer, adapted.normalizer, file);
  const model = all.model!;

  // Only the matching of added tokens differs between the three, so they share the model: vocabulary and merges take
  // hundreds of megabytes for the big ones.
  const variants = new Map<Recognise, Engine>([["all", all]]);
  const variant = (recognise: Recognise): Engine => {
    let engine = variants.get(recognise);
    if (engine === undefined) {
      const recognised = (token: AddedToken) => recognise === "ordinary" && !token.special;
      const empty = { type: "BPE", vocab: {}, merges: [] };
      engine = build({ ...adapted, added_tokens: adapted.added_tokens.filter(recognised), model: empty }, file);
      engine.model = model;
      engine.normalizer = all.normalizer;
      variants.set(recognise, engine);
    }
    return engine;
  };

  return {
    encode(text, recognise) {
      const lone = text.search(/\p{Surrogate}/u);
      if (lone >= 0) {
        throw new DataError(`the text holds half a surrogate pair at character ${lone}, so it has no UTF-8 form`, {
          hint: "The text was cut inside a character or badly escaped: repair it where it was made.",
        });
      }
      if (text === "") return [];
      const ids = variant(recognise).encode(text, { add_special_tokens: false }).ids as (number | undefined)[];
      const missing = ids.indexOf(undefined);
      if (missing >= 0) {
        throw new ModelError("a part of the text has no token, and the tokenizer has no token for the unknown", {
          file,
          field: "model.unk_token",
        });
      }
      return ids as number[];
    },
    token: (id) => model.vocab[id],
    id: (token) => model.tokens_to_ids.get(token),
    decode: (ids) => (ids.length === 0 ? "" : all.decode(ids, { clean_up_tokenization_spaces: false })),
    vocabularySize: model.vocab.length,
  };
}

function build(json: object, file: string): Engine {
  try {
    return new Engine(json, {});
  } catch (cause) {
    throw new ModelError(`the tokenizer can't be built: ${(cause as Error).message}`, {
      file,
      cause,
      hint: "A part of it is damaged, or of a kind that is not supported.",
    });
  }
}

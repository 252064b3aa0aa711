import { ModelError } from "../schema/index.ts";
import { mergesFromVocabulary } from "./gguf-merges.ts";
import { type GgufTokenizerMetadata, parseGgufMetadata, tokenTypes } from "./gguf-metadata.ts";
import { type GgufReading, preTokenization } from "./gguf-pre-tokenizers.ts";
import type { TokenizerOptions } from "./hugging-face.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import type { AddedToken, Component, Merge, TokenizerConfig, TokenizerJson } from "./tokenizer-json.ts";

export interface GgufTokenizerOptions extends TokenizerOptions {
  /** Whose reading of the file is followed where the two differ; `transformers` by default. */
  readonly reading?: GgufReading | undefined;
}

/** What the kind of tokenizer decides; the rest is the same for all. */
interface Kind {
  readonly tokens: readonly string[];
  /** User-defined tokens that are not matched in the text before the merges. */
  readonly unmatched: readonly string[];
  readonly merges: readonly Merge[];
  readonly normalizer: Component | null;
  readonly preTokenizer: Component | null;
  readonly decoder: Component;
  readonly model: Record<string, unknown>;
  readonly addsBos: boolean;
}

/**
 * Makes a tokenizer from the metadata of a GGUF file, by way of the tokenizer.json that the same tokenizer has in a
 * Hugging Face folder: byte-level BPE (`gpt2`) and SentencePiece BPE with byte fallback (`llama`).
 *
 * A GGUF file doesn't hold the whole of the original tokenizer. By default the ids are those that `transformers` gives
 * for the same file. The model's original tokenizer, which the file names, differs from that for SmolLM2 (digits are
 * cut off one by one, so that "\n\n1" and "  1" keep their white space as one token), Qwen2 (text is brought to NFC),
 * Llama 3 (whole pieces need no merges) and Gemma (written runs of U+2581): `reading: "original"` follows it.
 *
 * @param metadata the file's keys with their parsed values; long arrays may be typed arrays.
 * @param file the file's path, for errors.
 * @throws ModelError naming the key that is missing, damaged, or of an unknown kind.
 */
export function tokenizerFromGguf(
  metadata: ReadonlyMap<string, unknown>,
  file: string,
  options: GgufTokenizerOptions = {},
): Tokenizer {
  const gguf = parseGgufMetadata(metadata, file);
  const reading = options.reading ?? "transformers";
  const kind = kindOf(gguf, reading, file);
  const addBos = gguf.addBos ?? kind.addsBos;
  const chatTemplate = options.chatTemplate ?? gguf.chatTemplate;
  const contextLength = metadata.get(`${gguf.architecture}.context_length`);
  const named = (key: string, id: number | undefined) => (id === undefined ? {} : { [key]: kind.tokens[id] });
  const config: TokenizerConfig = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...named("bos_token", gguf.bosId),
    ...named("eos_token", gguf.eosId),
    ...named("unk_token", gguf.unknownId),
    ...named("pad_token", gguf.paddingId),
    add_bos_token: addBos && gguf.bosId !== undefined,
    clean_up_tokenization_spaces: false,
    ...(typeof contextLength === "number" ? { model_max_length: contextLength } : {}),
  };
  const json: TokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(gguf, kind),
    normalizer: kind.normalizer,
    pre_tokenizer: kind.preTokenizer,
    post_processor: addBos && gguf.bosId !== undefined ? bosFirst(kind.tokens[gguf.bosId]!, gguf.bosId) : null,
    decoder: kind.decoder,
    model: {
      type: "BPE",
      dropout: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      ...kind.model,
      vocab: vocabulary(kind.tokens, gguf, file),
      merges: kind.merges,
    },
  };
  const template =
    options.chatTemplate === undefined
      ? { file, field: "tokenizer.chat_template" }
      : { file, field: "chat template given" };
  return createTokenizer({
    json,
    config,
    chatTemplate,
    origin: { file, merges: gguf.merges && "tokenizer.ggml.merges", template },
    endOfTurn: gguf.eotId,
  });
}

const kinds: Readonly<Record<string, (gguf: GgufTokenizerMetadata, reading: GgufReading, file: string) => Kind>> = {
  gpt2: byteLevelKind,
  llama: sentencePieceKind,
};

function kindOf(gguf: GgufTokenizerMetadata, reading: GgufReading, file: string): Kind {
  const make = Object.hasOwn(kinds, gguf.model) ? kinds[gguf.model] : undefined;
  if (make !== undefined) return make(gguf, reading, file);
  throw new ModelError(`unknown kind of tokenizer "${gguf.model}"`, {
    file,
    field: "tokenizer.ggml.model",
    hint: `Known: ${Object.keys(kinds).join(", ")}. Otherwise take the model's Hugging Face folder.`,
  });
}

function byteLevelKind(gguf: GgufTokenizerMetadata, reading: GgufReading, file: string): Kind {
  const { normalizer, preTokenizer, ignoreMerges, addsBos } = preTokenization(gguf.pre, reading, file);
  if (gguf.merges === undefined) {
    throw new ModelError("the merges of a byte-pair tokenizer are missing", { file, field: "tokenizer.ggml.merges" });
  }
  return {
    tokens: gguf.tokens,
    unmatched: [],
    merges: parseMerges(gguf.merges, file),
    normalizer,
    preTokenizer,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: ignoreMerges },
    addsBos,
  };
}

const space = "\u2581";
const replaceSpaces: Component = { type: "Replace", pattern: { String: " " }, content: space };
const isGemma = (architecture: string) => ["gemma", "gemma2", "gemma3", "gemma3n"].includes(architecture);

function sentencePieceKind(gguf: GgufTokenizerMetadata, reading: GgufReading, file: string): Kind {
  const gemma = isGemma(gguf.architecture);
  // llama.cpp's conversion writes Gemma's tokens of several spaces as spaces; the vocabulary has them as U+2581.
  const tokens = gemma
    ? gguf.tokens.map((token) => (/^ {2,}$/u.test(token) ? space.repeat(token.length) : token))
    : gguf.tokens;
  const unknown = gguf.unknownId === undefined ? undefined : tokens[gguf.unknownId];
  return {
    tokens,
    unmatched: reading === "original" ? [] : tokens.filter((token, id) => token !== gguf.tokens[id]),
    merges: gguf.merges === undefined ? implied(gguf, tokens, gemma, file) : parseMerges(gguf.merges, file),
    ...spacing(gguf, gemma),
    model: { unk_token: unknown ?? null, fuse_unk: true, byte_fallback: true, ignore_merges: false },
    addsBos: true,
  };
}

function implied(gguf: GgufTokenizerMetadata, tokens: readonly string[], gemma: boolean, file: string): Merge[] {
  // Gemma's merges follow the order of the vocabulary; its scores don't.
  if (gemma) return mergesFromVocabulary(tokens, (id) => -id);
  const { scores } = gguf;
  if (scores !== undefined) return mergesFromVocabulary(tokens, (id) => scores[id]!);
  throw new ModelError("the file has neither scores nor merges for its tokens", {
    file,
    field: "tokenizer.ggml.scores",
  });
}

function spacing({ architecture, addSpacePrefix = true }: GgufTokenizerMetadata, gemma: boolean) {
  const decoder: Component = {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: space }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      ...(addSpacePrefix && !gemma ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
    ],
  };
  if (gemma) {
    const split = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false };
    return { normalizer: replaceSpaces, preTokenizer: split, decoder };
  }
  if (architecture === "phi3" && addSpacePrefix) {
    const prepend = { type: "Prepend", prepend: space };
    return { normalizer: { type: "Sequence", normalizers: [prepend, replaceSpaces] }, preTokenizer: null, decoder };
  }
  const scheme = addSpacePrefix ? "first" : "never";
  const metaspace = { type: "Metaspace", replacement: space, prepend_scheme: scheme, split: false };
  return { normalizer: null, preTokenizer: metaspace, decoder };
}

function parseMerges(merges: readonly string[], file: string): Merge[] {
  return merges.map((merge, index) => {
    const [left, right, ...rest] = merge.split(" ");
    if (left && right && rest.length === 0) return [left, right] as const;
    throw new ModelError(`merge ${index} ("${merge}") is not two tokens with a space between`, {
      file,
      field: `tokenizer.ggml.merges.${index}`,
    });
  });
}

/** Token -> id. Without the tokens by which llama.cpp fills a vocabulary up to the embedding's rows. */
function vocabulary(tokens: readonly string[], gguf: GgufTokenizerMetadata, file: string): Record<string, number> {
  const isFilling = (token: string, id: number) => gguf.tokenType?.[id] === tokenTypes.unused && token === `[PAD${id}]`;
  const entries = tokens.map((token, id) => [token, id] as const).filter(([token, id]) => !isFilling(token, id));
  const ids = new Map(entries);
  const twice = entries.find(([token, id]) => ids.get(token) !== id);
  if (twice !== undefined) {
    throw new ModelError(`the token "${twice[0]}" stands twice in the vocabulary`, {
      file,
      field: `tokenizer.ggml.tokens.${twice[1]}`,
      hint: "The file is damaged: convert the model again, or take another file.",
    });
  }
  // fromEntries also takes a token named __proto__ for a plain key.
  return Object.fromEntries(ids);
}

function addedTokens(gguf: GgufTokenizerMetadata, { tokens, unmatched }: Kind): AddedToken[] {
  return tokens.flatMap((content, id) => {
    const type = gguf.tokenType?.[id];
    const special = type === tokenTypes.control || (type === tokenTypes.unknown && id === gguf.unknownId);
    if (!special && (type !== tokenTypes.userDefined || unmatched.includes(content))) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

function bosFirst(bos: string, id: number): Component {
  const special = (type_id: number) => ({ SpecialToken: { id: bos, type_id } });
  const text = (name: string, type_id: number) => ({ Sequence: { id: name, type_id } });
  return {
    type: "TemplateProcessing",
    single: [special(0), text("A", 0)],
    pair: [special(0), text("A", 0), special(1), text("B", 1)],
    special_tokens: { [bos]: { id: bos, ids: [id], tokens: [bos] } },
  };
}

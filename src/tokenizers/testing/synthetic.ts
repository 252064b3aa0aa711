import { characterOfByte } from "../byte-level.ts";

const chatTemplate =
  "{{ bos_token }}{% for message in messages %}<|turn|>{{ message.role }}\n{{ message.content }}<|end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}";
const control = 3;
const specials = ["<|bos|>", "<|eos|>", "<|turn|>", "<|end|>"];

/** Words whose byte-pair merges, left to right, make up the merges of the small byte-level tokenizer. */
const words = [
  "\u0120the",
  "\u0120and",
  "ing",
  "\u01201",
  "123",
  "\u0120\u0120\u0120\u0120",
  "\u010a\u010a",
  "\u00c3\u00a9",
  "Hello",
  "'s",
  "\u00e4\u00bd\u0142",
  // A space and a number that is no ASCII digit.
  "\u0120\u00c2\u00b2",
];

/** A byte-level tokenizer of a few hundred tokens, as GGUF metadata. @param pre the pre-tokenizer's name. */
export function byteLevelMetadata(pre: string): Map<string, unknown> {
  const tokens = [...specials, ...characterOfByte, "<tool>"];
  const merges: string[] = [];
  for (const word of words) {
    for (let length = 2; length <= word.length; length++) {
      const [left, right] = [word.slice(0, length - 1), word[length - 1]!];
      if (tokens.includes(left + right)) continue;
      merges.push(`${left} ${right}`);
      tokens.push(left + right);
    }
  }
  const kind = (id: number) => (id < specials.length ? control : tokens[id] === "<tool>" ? 4 : 1);
  return new Map<string, unknown>([
    ["general.architecture", "llama"],
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", pre],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", Int32Array.from(tokens, (_, id) => kind(id))],
    ["tokenizer.ggml.merges", merges],
    ["tokenizer.ggml.bos_token_id", 0],
    ["tokenizer.ggml.eos_token_id", 1],
    ["tokenizer.chat_template", chatTemplate],
  ]);
}

const pieces = [
  "\u2581the",
  "\u2581and",
  "\u2581th",
  "\u2581an",
  "\u2581a",
  "\u2581t",
  "he",
  "in",
  "ing",
  "\u2581\u2581",
  "\u2581\u2581\u2581",

  "el",
  "lo",
  "Hello",
  "ello",
  "\u2581Hello",
];
const letters = ["\u2581", ..."abcdefghijklmnopqrstuvwxyzHT.,!'1230\u00e9\u4f60"];

/** A SentencePiece tokenizer with byte fallback, as GGUF metadata. */
export function sentencePieceMetadata(architecture: string, addSpacePrefix: boolean): Map<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  // Gemma's files write tokens of several spaces as spaces.
  const spelled = architecture.startsWith("gemma")
    ? pieces.map((piece) => (/^\u2581{2,}$/u.test(piece) ? " ".repeat(piece.length) : piece))
    : pieces;
  const tokens = ["<unk>", "<s>", "</s>", "<|end|>", "<|turn|>", "\n\n", ...bytes, ...spelled, ...letters];
  const firstPiece = 6 + bytes.length;
  const kind = (id: number) => {
    if (id === 0) return 2;
    if (id < 5) return control;
    if (id === 5 || tokens[id]!.startsWith("  ")) return 4;
    return id < firstPiece ? 6 : 1;
  };
  const score = (id: number) => (kind(id) === 1 ? firstPiece - id : 0);
  return new Map<string, unknown>([
    ["general.architecture", architecture],
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.pre", "default"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.scores", Float32Array.from(tokens, (_, id) => score(id))],
    ["tokenizer.ggml.token_type", Int32Array.from(tokens, (_, id) => kind(id))],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.ggml.unknown_token_id", 0],
    ["tokenizer.ggml.add_bos_token", true],
    ["tokenizer.ggml.add_space_prefix", addSpacePrefix],
    ["tokenizer.chat_template", chatTemplate],
  ]);
}

/** Every small tokenizer that has figures of `transformers` in the fixtures. */
export const syntheticMetadata: Readonly<Record<string, () => Map<string, unknown>>> = {
  ...Object.fromEntries(
    ["gpt-2", "smollm", "qwen2", "llama-bpe", "tekken", "gpt-4o"].map((pre) => [pre, () => byteLevelMetadata(pre)]),
  ),
  "llama-spm": () => sentencePieceMetadata("llama", true),
  "llama-spm-no-prefix": () => sentencePieceMetadata("llama", false),
  "phi3-spm": () => sentencePieceMetadata("phi3", true),
  "gemma-spm": () => sentencePieceMetadata("gemma3", false),
};

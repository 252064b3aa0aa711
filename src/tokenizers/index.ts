export { type ChatTemplate, compileChatTemplate } from "./chat-template.ts";
export { type GgufTokenizerOptions, tokenizerFromGguf } from "./gguf.ts";
export { type GgufReading, knownPreTokenizers } from "./gguf-pre-tokenizers.ts";
export { type TokenizerOptions, tokenizerFromFolder } from "./hugging-face.ts";
export { beginsThinking, endsThinking, knowsThinking, thinkingApart } from "./thinking.ts";
export {
  type ChatOptions,
  createTokenizer,
  type IncrementalDecoder,
  type Tokenizer,
  type TokenizerParts,
} from "./tokenizer.ts";

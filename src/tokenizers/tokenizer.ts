import { DataError, ModelError, type Turn } from "../schema/index.ts";
import { type ChatTemplate, compileChatTemplate } from "./chat-template.ts";
import { controlTokenGuard } from "./control-tokens.ts";
import { redecodingStream, textStreams, tokenBytesReader } from "./decoding.ts";
import { createEngine } from "./engine.ts";
import { namedTokens, withNamedTokens } from "./named-tokens.ts";
import { checkMerges, type TokenizerConfig, type TokenizerJson } from "./tokenizer-json.ts";

/** What a tokenizer is made of, wherever it was read from. */
export interface TokenizerParts {
  readonly json: TokenizerJson;
  readonly config: TokenizerConfig;
  /** The Jinja text; undefined for a base model. */
  readonly chatTemplate: string | undefined;
  /**
   * Where the parts were read from, for errors: the files, and the fields of the merges and the template in them.
   * Merges without a field were made from the vocabulary, and need no check.
   */
  readonly origin: {
    readonly file: string;
    readonly merges: string | undefined;
    readonly template: { file: string; field?: string };
  };
  /** The token that ends a turn where there is no template to show it. */
  readonly endOfTurn?: number | undefined;
}

export interface ChatOptions {
  /** Further variables of the template (`enable_thinking`, `date_string`, ...). */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface EncodeChatOptions extends ChatOptions {
  /** Control tokens that are written in the messages are spelled out as text. */
  readonly sanitizeContent?: boolean;
  /** Not this one: it stands there for what it does. */
  readonly except?: string;
}

/** Text of tokens that come one by one. Never gives half a character; joined, it is `decode` of all the ids. */
export interface IncrementalDecoder {
  push(id: number): string;
  end(): string;
}

export interface Tokenizer {
  /** Highest id + 1. A model's embedding may have more rows. */
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Whether plain text (no chat) is begun with BOS for this model. `encode` itself never adds it. */
  readonly addsBos: boolean;
  /** The token that ends the assistant's turn by the chat template; EOS where the template shows none. */
  readonly endOfTurnId: number | undefined;
  /** All tokens at which generation ends. */
  readonly stopIds: readonly number[];
  readonly hasChatTemplate: boolean;
  /** Its Jinja text. */
  readonly chatTemplate: string | undefined;
  /**
   * Token ids, BOS and EOS never added. Equal to `transformers` with `add_special_tokens=False`:
   * with `special: true` to its default, where special tokens written in the text become themselves; without (the
   * default here, for text of users and models) to `split_special_tokens=True`, where they are spelled like any text.
   * With `literal: true` no added token is recognised at all.
   * @throws DataError for half a surrogate pair.
   */
  encode(text: string, options?: { readonly special?: boolean; readonly literal?: boolean }): number[];
  /**
   * Text of tokens. Ids beyond the vocabulary (padding rows of an embedding) give no text.
   * @throws DataError for what is no id.
   */
  decode(ids: Iterable<number>, options?: { readonly skipSpecial?: boolean }): string;
  createDecoder(options?: { readonly skipSpecial?: boolean }): IncrementalDecoder;
  /** The bytes that a token stands for: not always whole characters. Ids beyond the vocabulary have none. */
  tokenBytes(id: number): Uint8Array;
  /** The id of a token by its spelling in the vocabulary. */
  tokenId(token: string): number | undefined;
  isSpecial(id: number): boolean;
  /**
   * The text of a conversation by the chat template.
   * @throws ModelError without a template, DataError where the template refuses the messages.
   */
  renderChat(messages: readonly Turn[], options?: ChatOptions & { readonly addGenerationPrompt?: boolean }): string;
  /**
   * Token ids of a conversation with the generation prompt: the template's text and nothing else, so BOS stands where
   * the template writes it. Equal to `apply_chat_template(messages, add_generation_prompt=True)`, where special tokens
   * in the messages become themselves; with `sanitizeContent` to its `sanitize_control_tokens=True`, where they don't.
   */
  encodePrompt(messages: readonly Turn[], options?: EncodeChatOptions): number[];
  /** The same of a whole conversation, without a generation prompt: `apply_chat_template(messages)`. */
  encodeConversation(messages: readonly Turn[], options?: EncodeChatOptions): number[];
  /**
   * Token ids of a response: its text as plain text, then the end-of-turn token exactly once (one that is already
   * written at the text's end is taken for it).
   * @throws ModelError where the tokenizer has neither an end-of-turn nor an EOS token.
   */
  encodeResponse(text: string): number[];
  /** The Hugging Face files of this tokenizer, name -> text, as `transformers` opens them. */
  files(): Record<string, string>;
  /** Plain data, from which another thread makes the same tokenizer. */
  readonly parts: TokenizerParts;
}

/** Builds a tokenizer from its parts. @throws ModelError naming the file and field that can't be used. */
export function createTokenizer(parts: TokenizerParts): Tokenizer {
  const { config, origin } = parts;
  if (origin.merges !== undefined) checkMerges(parts.json, origin.file, origin.merges);
  const json = withNamedTokens(parts.json, config, origin.file);
  const engine = createEngine(json, origin.file);
  const special = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
  const named = namedTokens(config);
  const idOf = (token: string | undefined) => (token === undefined ? undefined : engine.id(token));
  const template =
    parts.chatTemplate === undefined ? undefined : compileChatTemplate(parts.chatTemplate, origin.template);
  const eosId = idOf(named.eos_token);
  const shown = template === undefined ? parts.endOfTurn : shownEndOfTurn(template);
  const endOfTurnId = shown ?? eosId;
  const guard = memo(() => controlTokenGuard(json.added_tokens, requireTemplate().literals));
  const newStream =
    textStreams(json) ?? (() => redecodingStream((tokens) => engine.decode(tokens.map((token) => engine.id(token)!))));
  const bytesOf = tokenBytesReader(json, (token) => engine.decode([engine.id(token)!]));

  function requireTemplate(): ChatTemplate {
    if (template !== undefined) return template;
    throw new ModelError("the model has no chat template: it is a base model, not tuned for conversations", {
      file: origin.file,
      hint: "Take its instruction-tuned version, or give a chat template with the model.",
    });
  }

  function render(chat: ChatTemplate, messages: readonly Turn[], addGenerationPrompt: boolean, variables = {}) {
    return chat.render(messages, { ...named, ...variables, add_generation_prompt: addGenerationPrompt });
  }

  function encodeChat(
    messages: readonly Turn[],
    addGenerationPrompt: boolean,
    { variables = {}, sanitizeContent = false, except }: EncodeChatOptions = {},
  ): number[] {
    const chat = requireTemplate();
    if (!sanitizeContent) return engine.encode(render(chat, messages, addGenerationPrompt, variables), "all");
    const rendered = render(chat, guard().mark(messages, except), addGenerationPrompt, variables);
    return guard().encode(rendered, engine.encode, origin.file);
  }

  /** The first special token after the assistant's text, in a conversation rendered for the purpose. */
  function shownEndOfTurn(chat: ChatTemplate): number | undefined {
    const answer = "AMALGAM0ANSWER";
    try {
      const messages: Turn[] = [
        { role: "user", content: "Hello" },
        { role: "assistant", content: answer },
      ];
      const text = render(chat, messages, false);
      const at = text.lastIndexOf(answer);
      if (at < 0) return undefined;
      return engine.encode(text.slice(at + answer.length), "all").find((id) => special.has(id));
    } catch (error) {
      // A template may want other messages than these; it then shows nothing, and EOS ends the turn.
      if (error instanceof DataError || error instanceof ModelError) return undefined;
      throw error;
    }
  }

  function createDecoder({ skipSpecial = false } = {}): IncrementalDecoder {
    const stream = newStream();
    return {
      push(id) {
        if (!Number.isInteger(id) || id < 0) throw new DataError(`${id} is no token id`);
        const token = engine.token(id);
        return token === undefined || (skipSpecial && special.has(id)) ? "" : stream.push(token);
      },
      end: () => stream.end(),
    };
  }

  return {
    vocabularySize: engine.vocabularySize,
    bosId: idOf(named.bos_token),
    eosId,
    padId: idOf(named.pad_token),
    addsBos: config.add_bos_token ?? beginsWithBos(json, named.bos_token),
    endOfTurnId,
    stopIds: [...new Set([endOfTurnId, eosId].filter((id) => id !== undefined))],
    hasChatTemplate: template !== undefined,
    chatTemplate: template?.text,
    encode: (text, { special = false, literal = false } = {}) =>
      engine.encode(text, literal ? "none" : special ? "all" : "ordinary"),
    createDecoder,
    tokenBytes(id) {
      const token = engine.token(id);
      return token === undefined ? new Uint8Array() : bytesOf(token);
    },
    decode(ids, options) {
      const decoder = createDecoder(options);
      let text = "";
      for (const id of ids) text += decoder.push(id);
      return text + decoder.end();
    },
    tokenId: (token) => engine.id(token),
    isSpecial: (id) => special.has(id),
    renderChat: (messages, { addGenerationPrompt = false, variables = {} } = {}) =>
      render(requireTemplate(), messages, addGenerationPrompt, variables),
    encodePrompt: (messages, options) => encodeChat(messages, true, options),
    encodeConversation: (messages, options) => encodeChat(messages, false, options),
    encodeResponse(text) {
      const closing = endOfTurnId === undefined ? undefined : engine.token(endOfTurnId);
      if (endOfTurnId === undefined || closing === undefined) {
        throw new ModelError("the tokenizer has neither an end-of-turn nor an EOS token, so responses can't be ended", {
          file: origin.file,
          field: "eos_token",
        });
      }
      let body = text;
      while (body.endsWith(closing)) body = body.slice(0, -closing.length);
      return [...engine.encode(body, "ordinary"), endOfTurnId];
    },
    files: () => huggingFaceFiles(json, config, parts.chatTemplate),
    parts,
  };
}

function beginsWithBos(json: TokenizerJson, bos: string | undefined): boolean {
  const processor = json.post_processor;
  const steps = processor?.type === "Sequence" ? (processor.processors as unknown[]) : [processor];
  return steps.some((step) => {
    const { single } = (step ?? {}) as { single?: { SpecialToken?: { id?: string } }[] };
    const first = Array.isArray(single) ? single[0]?.SpecialToken?.id : undefined;
    return first !== undefined && first === bos;
  });
}

function huggingFaceFiles(json: TokenizerJson, config: TokenizerConfig, template: string | undefined) {
  const lines = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    "tokenizer.json": JSON.stringify(json),
    // Older releases of `transformers` read the template from here, newer ones from its own file.
    "tokenizer_config.json": lines(template === undefined ? config : { ...config, chat_template: template }),
    "special_tokens_map.json": lines(namedTokens(config)),
    ...(template === undefined ? {} : { "chat_template.jinja": template }),
  };
}

function memo<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

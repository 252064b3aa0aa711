import type { TokenLogProb } from "../generation/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { DrawnToken } from "./drawing.ts";

/** Log-probs in the form of chats. */
export function chatLogProbs(tokenizer: Tokenizer, tokens: readonly DrawnToken[]) {
  const named = (id: number, logprob: number) => {
    const bytes = tokenizer.tokenBytes(id);
    return { token: utf8.decode(bytes), logprob: finite(logprob), bytes: [...bytes] };
  };
  return {
    content: tokens.flatMap(({ id, logProb }) =>
      logProb === undefined
        ? []
        : [{ ...named(id, logProb.logProb), top_logprobs: logProb.top.map((other) => named(other.id, other.logProb)) }],
    ),
    refusal: null,
  };
}

/** Log-probs in the form of completions: columns, with the offset of each token in the choice's text. */
export interface LogProbColumns {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

/**
 * Gives the log-probs of a choice part by part. Of a token there are as many others as were asked for, and itself.
 * Tokens that are no whole characters are spelled by their bytes, so that two of them never have one name.
 */
export function logProbColumns(tokenizer: Tokenizer) {
  let decoder = tokenizer.createDecoder();
  let offset = 0;
  return {
    add(tokens: readonly { readonly id: number; readonly logProb: TokenLogProb | null | undefined }[]): LogProbColumns {
      const columns: LogProbColumns = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
      for (const { id, logProb } of tokens) {
        columns.tokens.push(spelled(tokenizer, id));
        columns.text_offset.push(offset);
        columns.token_logprobs.push(logProb ? finite(logProb.logProb) : null);
        columns.top_logprobs.push(logProb ? topOf(tokenizer, logProb) : null);
        offset += decoder.push(id).length;
      }
      return columns;
    },
    /** From here on a text begins that stands at `at`, with or without its special tokens. */
    startAt(at: number, skipSpecial: boolean) {
      decoder = tokenizer.createDecoder({ skipSpecial });
      offset = at;
    },
  };
}

function topOf(tokenizer: Tokenizer, { id, logProb, top }: TokenLogProb): Record<string, number> {
  const all = top.some((other) => other.id === id) ? top : [...top, { id, logProb }];
  return Object.fromEntries(all.map((other) => [spelled(tokenizer, other.id), finite(other.logProb)]));
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strictUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

function spelled(tokenizer: Tokenizer, id: number): string {
  const bytes = tokenizer.tokenBytes(id);
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** JSON has no infinity: the log-prob of what can't come. */
const finite = (logProb: number) => Math.max(logProb, -9999);

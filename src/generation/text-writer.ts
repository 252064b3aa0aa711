import type { Tokenizer } from "../tokenizers/index.ts";

/** What belongs to the text of a response, and what ends it. */
export interface TextEnds {
  readonly stops: readonly string[];
  /** A stop string that is complete before the response has so many tokens is ordinary text. */
  readonly minTokens?: number;
  /** Special tokens that belong to the text. */
  readonly shown?: readonly string[];
}

/** Turns the tokens of a response into its text as they come, up to the first stop string. */
export interface TextWriter {
  /** What is certain to belong to the response; what may begin a stop string is held back. */
  push(id: number): string;
  /** What was held back. */
  end(): string;
  /** Whether a stop string was found: it and all after it is no part of the text. */
  readonly stopped: boolean;
}

/** Special tokens are no part of the text, except for those that are `shown`. */
export function textWriter(tokenizer: Tokenizer, { stops, minTokens = 0, shown = [] }: TextEnds): TextWriter {
  const marks = new Map(shown.map((token) => [tokenizer.tokenId(token), token] as const));
  const decoder = tokenizer.createDecoder({ skipSpecial: true });
  let held = "";
  let stopped = false;
  let tokens = 0;

  const take = (piece: string): string => {
    if (stopped || piece === "") return "";
    held += piece;
    const found = tokens < minTokens ? [] : stops.map((stop) => held.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      const text = held.slice(0, Math.min(...found));
      held = "";
      stopped = true;
      return text;
    }
    const kept = Math.max(0, ...stops.map((stop) => begunAtEnd(held, stop)));
    const text = held.slice(0, held.length - kept);
    held = held.slice(held.length - kept);
    return text;
  };

  return {
    push(id) {
      tokens += 1;
      const mark = tokenizer.isSpecial(id) ? marks.get(id) : undefined;
      return mark === undefined ? take(decoder.push(id)) : take(decoder.end() + mark);
    },
    end() {
      const text = take(decoder.end());
      const rest = stopped ? "" : held;
      held = "";
      return text + rest;
    },
    get stopped() {
      return stopped;
    },
  };
}

/** What an engine asks after each token: whether the text of the response has come to its end. Nothing where no string ends it. */
export function textStopper(
  tokenizer: Tokenizer,
  ends: TextEnds,
): { readonly stopper?: () => (id: number) => boolean } {
  if (ends.stops.length === 0) return {};
  return {
    stopper() {
      const writer = textWriter(tokenizer, ends);
      return (id) => {
        writer.push(id);
        return writer.stopped;
      };
    },
  };
}

/** The text of a whole response, up to the first stop string. */
export function textOf(tokenizer: Tokenizer, ends: TextEnds, ids: readonly number[]): string {
  const writer = textWriter(tokenizer, ends);
  return ids.map((id) => writer.push(id)).join("") + writer.end();
}

/** The longest beginning of `word` that `text` ends with. */
export function begunAtEnd(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--)
    if (text.endsWith(word.slice(0, length))) return length;
  return 0;
}

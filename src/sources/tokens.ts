import type { ChatChoice, ChatUsage } from "./completion.ts";

const bytesAToken = 4;

/**
 * Tokens of each of a call's responses. Most servers report one sum for all choices of a call, so with several the sum is
 * divided by the lengths of the texts in UTF-8 bytes; with one it is exact. Tokens of hidden reasoning don't count.
 * Where the server reports nothing: one token for four bytes.
 */
export function responseTokens(choices: readonly ChatChoice[], usage: ChatUsage | null | undefined): number[] {
  const known = choices.flatMap(({ tokens }) => (tokens === undefined ? [] : [tokens]));
  if (choices.length > 0 && known.length === choices.length) return known;
  const bytes = choices.map(({ message }) => Buffer.byteLength(message.content ?? ""));
  if (!usage) return bytes.map(estimatedTokens);
  const reasoning = usage.completion_tokens_details?.reasoning_tokens ?? 0;
  const sum = Math.max(0, usage.completion_tokens - reasoning);
  const all = bytes.reduce((total, length) => total + length, 0);
  if (all === 0) return bytes.map(() => 0);
  let before = 0;
  let given = 0;
  return bytes.map((length) => {
    before += length;
    const upTo = Math.round((sum * before) / all);
    const own = upTo - given;
    given = upTo;
    return own;
  });
}

/** A guess at the tokens of a text of so many UTF-8 bytes. */
export const estimatedTokens = (bytes: number): number => Math.ceil(bytes / bytesAToken);

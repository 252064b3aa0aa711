import type { ChatChoice, ChatCompletion, ChatUsage } from "./completion.ts";

/**
 * A whole answer of llama.cpp's server to a call with `n`, recognised by its `timings`: `usage` counts the tokens of the first
 * choice alone. The others have as many as they have log-probs, or in proportion to their texts.
 */
export function withOwnTokens(completion: ChatCompletion, timings: { readonly predicted_n: number }): ChatCompletion {
  const { choices, usage } = completion;
  if (!usage || choices.length < 2 || usage.completion_tokens !== timings.predicted_n) return completion;
  const first = choices.find(({ index }) => index === 0) ?? choices[0]!;
  const bytes = ({ message }: ChatChoice): number =>
    Buffer.byteLength(`${message.content ?? ""}${message.reasoning ?? ""}`);
  const tokensOf = (choice: ChatChoice): number => {
    if (choice === first) return usage.completion_tokens;
    if (choice.logprobs?.content) return choice.logprobs.content.length;
    return Math.round((usage.completion_tokens * bytes(choice)) / Math.max(1, bytes(first)));
  };
  const counted = choices.map((choice) => ({ ...choice, tokens: tokensOf(choice) }));
  return { choices: counted, usage: { ...usage, completion_tokens: sum(counted.map(({ tokens }) => tokens)) } };
}

/** What the events of a stream tell of its tokens: those of all choices, or of each. */
export interface StreamUsage {
  /** This choice came to its end. */
  ended(index: number): void;
  /** An event tells this; the choices that end with it have been told before. */
  told(usage: ChatUsage | null | undefined): void;
  /** The choices, with their tokens where these are known, and the tokens of all. */
  counted(choices: readonly (ChatChoice & { readonly index: number })[]): ChatCompletion;
}

/**
 * llama.cpp's server tells in a stream with `n` what a choice had when this one ends: in the same event, or the next. Others tell
 * at the end what all had.
 */
export function streamUsage(): StreamUsage {
  let latest: ChatUsage | undefined;
  let ofAll = false;
  let justEnded: number[] = [];
  const own = new Map<number, ChatUsage>();
  return {
    ended: (index) => void justEnded.push(index),
    told(usage) {
      if (!usage) return;
      latest = usage;
      ofAll = justEnded.length !== 1;
      if (!ofAll) own.set(justEnded[0]!, usage);
      justEnded = [];
    },
    counted(choices) {
      const usages = choices.flatMap(({ index }) => own.get(index) ?? []);
      const together = sum(usages.map(({ completion_tokens }) => completion_tokens));
      const apart = choices.length > 1 && usages.length === choices.length;
      if (!latest || !apart || (ofAll && latest.completion_tokens !== together))
        return { choices: [...choices], usage: latest };
      return {
        choices: choices.map((choice, at) => ({ ...choice, tokens: usages[at]!.completion_tokens })),
        usage: { prompt_tokens: latest.prompt_tokens, completion_tokens: together },
      };
    },
  };
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

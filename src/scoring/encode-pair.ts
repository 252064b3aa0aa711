import type { ModelFiles } from "../models/index.ts";
import { DataError } from "../schema/index.ts";
import type { Continuation } from "./continuations.ts";

/** How a model reads plain text, as lm-eval's `hf` models do. */
export interface PlainReading {
  /** Token ids of a text: special tokens written in it become themselves, and BOS stands before it where the model wants it. */
  encode(text: string): number[];
  /** What stands before a continuation without a context. */
  readonly prefixId: number | undefined;
  /** The most tokens of which the next one can be predicted. */
  readonly room: number;
}

/**
 * lm-eval begins texts with BOS for the Gemma family only, whatever the tokenizer's own rule is.
 */
export function plainReading({
  config,
  decoderConfig,
  tokenizer,
}: Pick<ModelFiles, "config" | "decoderConfig" | "tokenizer">): PlainReading {
  const { bosId, eosId, addsBos } = tokenizer;
  const begins = String(config.model_type ?? "").includes("gemma") && addsBos && bosId !== undefined;
  return {
    encode: (text) => [...(begins ? [bosId] : []), ...tokenizer.encode(text, { special: true })],
    prefixId: bosId ?? eosId,
    room: decoderConfig.maxPositions,
  };
}

/** A continuation in tokens, and how many tokens of its context had no room. */
export interface EncodedPair extends Continuation {
  readonly cut: number;
}

/** What Python's `rstrip` takes away. */
const space = "[\\s\\x1c-\\x1f\\x85]";
const endingSpace = new RegExp(`${space}+$`);

/** The context without white space at its end, and that. */
export function contextParts(context: string): readonly [head: string, space: string] {
  const ending = endingSpace.exec(context)?.[0] ?? "";
  return [context.slice(0, context.length - ending.length), ending];
}

/**
 * A context and what is scored after it in tokens, as lm-eval splits them: white space at the context's end belongs to the continuation;
 * both are encoded as one text, of which the continuation has all tokens after as many as the context by itself has. What is too long for
 * the model loses tokens at its beginning.
 *
 * @throws DataError where the continuation has no tokens, or more than the model has room for
 */
export function encodePair(reading: PlainReading, context: string, continuation: string): EncodedPair {
  const [before, scoredIds] = parts(reading, context, continuation);
  if (before.length === 0) throw new DataError("nothing stands before the text that is to be scored, not even BOS");
  if (scoredIds.length === 0)
    throw new DataError(`the text ${JSON.stringify(continuation)} has no tokens of its own after its context`);
  if (scoredIds.length > reading.room)
    throw new DataError(`the text to be scored has ${scoredIds.length} tokens, the model's context ${reading.room}`);
  const ids = [...before, ...scoredIds];
  // The last token predicts nothing and needs no room.
  const cut = Math.max(0, ids.length - reading.room - 1);
  return { ids: ids.slice(cut), scored: scoredIds.length, cut };
}

function parts(
  { encode, prefixId }: PlainReading,
  context: string,
  continuation: string,
): readonly [before: number[], scored: number[]] {
  if (context === "") return [prefixId === undefined ? [] : [prefixId], encode(continuation)];
  const [head, ending] = contextParts(context);
  const before = encode(head);
  return [before, encode(head + ending + continuation).slice(before.length)];
}

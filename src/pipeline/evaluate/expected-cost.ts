import type { Message, PriceRecipe } from "../../schema/index.ts";
import type { LazySource } from "../lazy-source.ts";
import type { Evaluation } from "./evaluation.ts";

/** A call that is about to be made. */
interface Call {
  readonly messages: readonly Message[];
  /** Most tokens of the answer. */
  readonly maxTokens: number;
}

/** Of English text, and of a conversation's frame: what a server counts is only known when it has answered. */
const charactersPerToken = 4;
const tokensPerMessage = 4;

/** Says before an endpoint is called what the calls may cost: tokens of prompts by their lengths, of answers at most. */
export function tellExpectedCost(
  { listener }: Pick<Evaluation, "listener">,
  label: string,
  { embedded, price }: Pick<LazySource, "embedded" | "price">,
  calls: readonly Call[],
): void {
  if (embedded || calls.length === 0) return;
  const input = calls.reduce((sum, { messages }) => sum + promptTokens(messages), 0);
  const output = calls.reduce((sum, { maxTokens }) => sum + maxTokens, 0);
  const cost = price === undefined ? "" : `: at most about ${money(input, output, price)} in money`;
  listener.notice(
    `${label}: ${calls.length} calls, some ${input} tokens of prompts and at most ${output} of answers${cost}`,
  );
}

const promptTokens = (messages: readonly Message[]): number =>
  messages.reduce((sum, { content }) => sum + Math.ceil(content.length / charactersPerToken) + tokensPerMessage, 0);

const money = (input: number, output: number, price: PriceRecipe): string =>
  ((input * price.input + output * price.output) / 1e6).toPrecision(3);

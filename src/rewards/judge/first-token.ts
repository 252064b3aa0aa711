import type { ModelFiles } from "../../models/index.ts";
import { type EndpointRecipe, type ModelRecipe, RecipeError, SourceError } from "../../schema/index.ts";
import type { ChatCompletion, EndpointOptions } from "../../sources/index.ts";
import { embeddedAnswers } from "./embedded.ts";
import { endpointReading } from "./endpoint-reading.ts";
import type { Question } from "./judge.ts";
import { answerTokens } from "./rating-tokens.ts";

/** What a judge's answer begins with. */
export interface FirstToken {
  /** The token that it wrote; of a model on this machine the more probable answer. */
  readonly said: string;
  /** The most probable tokens in its place: of a model on this machine the answers alone, however it spells them. */
  readonly tokens: readonly { readonly token: string; readonly logprob: number }[];
}
export type FirstTokenOutcome = { readonly index: number } & (FirstToken | { readonly failure: string });

/** Reads how probable the first tokens of a judge's answer are. */
export interface FirstTokenReader {
  read(questions: readonly Question[], signal: AbortSignal): AsyncIterable<FirstTokenOutcome>;
  close(): Promise<void>;
}

/** How a server is asked: AlpacaEval's settings have `top` 5 and temperature 1. */
export interface FirstTokenAsking {
  readonly top: number;
  readonly temperature: number;
  /** Where the judge's recipe stands, and what else can be done where the server gives no log-probs. */
  readonly field: string;
  readonly hint: string;
}

/**
 * A model behind a server, asked for one token with the most probable ones in its place.
 *
 * Reading throws EnvironmentError where the key is missing, and SourceError with the hint where the server gives no log-probs. What is no
 * answer (empty, refused, held back, a call that failed for good) is a failure of its question.
 */
export function endpointFirstToken(
  recipe: EndpointRecipe,
  { top, temperature, field, hint }: FirstTokenAsking,
  options: EndpointOptions = {},
): FirstTokenReader {
  let gaveLogProbs = false;
  const unfit = (message: string, cause?: unknown) =>
    new SourceError(`${message}: it can't be read as a judge`, { field, hint, cause });
  return endpointReading<FirstToken>(
    recipe,
    options,
    async (client, { messages }, signal) => {
      const completion = await client.chatCompletion(
        { messages, max_tokens: 1, temperature, logprobs: true, top_logprobs: top },
        signal,
      );
      const read = readFirst(completion);
      if ("bare" in read && !gaveLogProbs) throw unfit(`${client.url}: ${read.bare}`);
      gaveLogProbs ||= "tokens" in read;
      if ("tokens" in read) return read;
      return { failure: `${client.url}: ${client.clean("bare" in read ? read.bare : read.failure)}` };
    },
    (error) => unfit(error.message, error),
  );
}

/** `bare`: there are no log-probs where they should be. */
function readFirst({ choices }: ChatCompletion): FirstToken | { readonly failure: string } | { readonly bare: string } {
  const [choice] = choices;
  if (choice === undefined) return { failure: "the answer has no choices" };
  const { message, finish_reason, logprobs } = choice;
  if (finish_reason === "content_filter") return { failure: "a content filter held the judge's answer back" };
  if (message.refusal) return { failure: "the judge refused to answer" };
  const first = logprobs?.content?.[0];
  if (first !== undefined && first.top_logprobs.length > 0) {
    const { token, logprob, top_logprobs: tokens } = first;
    // What it wrote is probable: null is here no minus infinity, but a NaN that JSON can't hold.
    if (logprob === null && !tokens.some((one) => one.token === token))
      return { failure: "the log-prob of what the judge said is none" };
    return { said: token, tokens };
  }
  if (!message.content && !message.reasoning) return { failure: "the judge's answer is empty" };
  return { bare: "the answer comes without the log-probs that were asked for" };
}

/**
 * A model on this machine: the probabilities of the answers right behind the prompt, which goes through the model's chat template.
 *
 * @throws RecipeError at `field` where the tokenizer has no tokens of its own for an answer; ModelError without a chat template
 */
export function embeddedFirstToken(
  files: ModelFiles,
  recipe: Pick<ModelRecipe, "precision" | "device">,
  answers: readonly string[],
  field: string,
): FirstTokenReader {
  const tokens = answerTokens(
    files.tokenizer,
    answers,
    (answer) => new RecipeError(`the tokenizer of ${files.label} has no tokens of its own for ${answer}`, { field }),
  );
  const { read, close } = embeddedAnswers(files, recipe, tokens);
  return {
    close,
    async *read(questions, signal) {
      for await (const outcome of read(questions, signal)) {
        const { index } = outcome;
        if ("failure" in outcome) yield outcome;
        else {
          const some = answers.map((token, at) => ({ token, logprob: Math.log(outcome.probabilities[at]!) }));
          const { token } = some.reduce((best, each) => (each.logprob > best.logprob ? each : best));
          yield { index, said: token, tokens: some };
        }
      }
    },
  };
}

import { type EndpointRecipe, RecipeError, SourceError } from "../../schema/index.ts";
import type { ChatCompletion, EndpointClient, EndpointOptions } from "../../sources/index.ts";
import { endpointReading } from "./endpoint-reading.ts";
import type { JudgeReader, Question } from "./judge.ts";
import { ratingsOf, type Scale } from "./scale.ts";

/** The most that the API gives. */
const topLogProbs = 20;

/** Calls for one response whose answer can't be read; at temperature 0 a further one seldom says more. */
const looks = 2;

type Reading =
  | { readonly probabilities: readonly number[] }
  /** `bare`: there are no log-probs where they should be. */
  | { readonly fault: string; readonly bare: boolean };

/**
 * A model behind an OpenAI-compatible server as a judge: one token at temperature 0, read by the 20 most probable
 * tokens in its place; a rating that is not among them counts as improbable. Throws RecipeError at `field` for a scale
 * up to 10; reading throws EnvironmentError when the key is missing, SourceError where the server gives no log-probs.
 */
export function endpointReader(
  recipe: EndpointRecipe,
  scale: Scale,
  field: string,
  options: EndpointOptions = {},
): JudgeReader {
  if (scale[1] > 9)
    throw new RecipeError(`a judge at an endpoint can't read the scale ${scale[0]} to ${scale[1]}`, {
      field: `${field}.scale`,
      hint: "Its answer is one token, and 10 may be two: take ratings up to 9, `answer: rating`, or a judge with `model` in place of `endpoint`.",
    });
  let gaveLogProbs = false;

  const ask = async (client: EndpointClient, { messages }: Question, signal: AbortSignal) => {
    for (let look = 1; ; look++) {
      const completion = await client.chatCompletion(
        { messages, max_tokens: 1, temperature: 0, logprobs: true, top_logprobs: topLogProbs },
        signal,
      );
      const reading = readCompletion(completion, scale);
      if ("probabilities" in reading) {
        gaveLogProbs = true;
        return reading;
      }
      if (reading.bare && !gaveLogProbs) throw unfit(`${client.url}: ${reading.fault}`, field);
      if (look >= Math.min(looks, client.retries + 1)) {
        const tried = look === 1 ? "" : `, tried ${look} times`;
        return { failure: `${client.url}: ${client.clean(reading.fault)}${tried}` };
      }
    }
  };

  return endpointReading(recipe, options, ask, (error) => unfit(error.message, field, error));
}

function unfit(message: string, field: string, cause?: unknown): SourceError {
  return new SourceError(`${message}: it can't be a judge`, {
    field: `${field}.endpoint`,
    hint: "A judge is read by its tokens' log-probs. Take a server and model that give them (`logprobs` with `top_logprobs: 20`), `answer: rating`, or a judge on this machine: `model` in place of `endpoint`.",
    cause,
  });
}

function readCompletion({ choices }: ChatCompletion, scale: Scale): Reading {
  const fault = (words: string, bare = false): Reading => ({ fault: words, bare });
  const [choice] = choices;
  if (choice === undefined) return fault("the answer has no choices");
  const { message, finish_reason, logprobs } = choice;
  if (finish_reason === "content_filter") return fault("a content filter held the rating back");
  if (message.refusal) return fault("the judge refused to rate");
  const first = logprobs?.content?.[0];
  if (first === undefined && logprobs?.content !== undefined && !message.content)
    return fault("the judge's answer is empty");
  if (first === undefined || first.top_logprobs.length === 0)
    return fault("the answer comes without the log-probs that were asked for", true);
  const places = new Map(ratingsOf(scale).map((rating, at) => [`${rating}`, at]));
  const probabilities = ratingsOf(scale).map(() => 0);
  let sum = 0;
  let rated = false;
  for (const { token, logprob } of first.top_logprobs) {
    sum += Math.exp(logprob);
    const at = places.get(bareToken(token));
    if (at === undefined) continue;
    rated = true;
    probabilities[at]! += Math.exp(logprob);
  }
  if (!(sum <= 1.001)) return fault(`the answer's log-probs can't be: the probabilities add up to ${sum}`);
  if (rated) return { probabilities };
  const said = JSON.stringify(first.token.slice(0, 40));
  const count = first.top_logprobs.length;
  return fault(`none of the ratings is among the ${count} most probable tokens; the judge said ${said}`);
}

/** A token's text without the spaces around it, in whichever way a server writes a leading one. */
const bareToken = (token: string): string => token.replace(/^[\s\u2581\u0120]+|\s+$/gu, "");

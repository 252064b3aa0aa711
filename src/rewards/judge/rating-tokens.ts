import { RecipeError } from "../../schema/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { ratingsOf, type Scale } from "./scale.ts";

/** A token whose probability is wanted after the judge's prompt and the first `depth` tokens of chain `chain`. */
interface Edge {
  readonly chain: number;
  readonly depth: number;
  readonly token: number;
}

/** How the answers are spelled in tokens, and what must be read to know their probabilities. */
export interface AnswerTokens {
  /**
   * What is put after the judge's prompt for reading: nothing where every answer is one token, else the tokens that an
   * answer starts with. Each chain needs the end of the judge's prompt once more.
   */
  readonly chains: readonly (readonly number[])[];
  readonly edges: readonly Edge[];
  /** The probability of each answer, in their order, by the log-probs of the edges. */
  probabilities(edgeLogProbs: readonly number[]): number[];
}

interface Spelling {
  readonly answer: string;
  readonly ids: readonly number[];
}

/** The tokens of the ratings of a scale, from the lowest on. Throws as `answerTokens`, RecipeError at `field`. */
export const ratingTokens = (tokenizer: Tokenizer, scale: Scale, label: string, field: string): AnswerTokens =>
  answerTokens(
    tokenizer,
    ratingsOf(scale).map((rating) => `${rating}`),
    (rating) =>
      new RecipeError(`the tokenizer of ${label} has no tokens of its own for the rating ${rating}`, {
        field,
        hint: "Take a scale whose ratings the judge can write, or another judge.",
      }),
  );

/**
 * The tokens of the answers that a judge may give, as it would write them right after its generation prompt, with and without a space
 * before. The probability of an answer is that of the text starting with one of its spellings, whatever follows; where
 * one spelling starts another ("1" and "10" as two tokens), the longer one's probability is taken from the shorter's,
 * so that no text counts twice. This is exact for answers of any number of tokens.
 *
 * Throws what `unspelled` makes where the tokenizer can't spell an answer or spells two alike, ModelError where it has no chat template.
 */
export function answerTokens(
  tokenizer: Tokenizer,
  answers: readonly string[],
  unspelled: (answer: string) => Error,
): AnswerTokens {
  const spellings = spellingsOf(tokenizer, answers, unspelled);
  const beginnings = unique(spellings.flatMap(({ ids }) => ids.slice(1).map((_, i) => ids.slice(0, i + 1))));
  const ends = beginnings.filter((one) => !beginnings.some((other) => other.length > one.length && starts(other, one)));
  const chains = ends.length === 0 ? [[]] : ends;
  const edges = unique(spellings.flatMap(({ ids }) => ids.map((_, i) => ids.slice(0, i + 1))));
  const edgeOf = new Map(edges.map((path, at) => [path.join(), at]));
  const extensions = spellings.map(({ ids }) =>
    spellings.flatMap((other, at) => (other.ids.length > ids.length && starts(other.ids, ids) ? [at] : [])),
  );
  return {
    chains,
    edges: edges.map((path) => ({
      chain: chains.findIndex((chain) => starts(chain, path.slice(0, -1))),
      depth: path.length - 1,
      token: path.at(-1)!,
    })),
    probabilities(edgeLogProbs) {
      const begins = spellings.map(({ ids }) =>
        Math.exp(ids.reduce((sum, _, i) => sum + edgeLogProbs[edgeOf.get(ids.slice(0, i + 1).join())!]!, 0)),
      );
      // Only "10" starts with another rating, so an extension is never itself extended.
      const own = begins.map((p, at) => p - extensions[at]!.reduce((sum, longer) => sum + begins[longer]!, 0));
      return answers.map((answer) =>
        spellings.reduce((sum, spelling, at) => (spelling.answer === answer ? sum + Math.max(0, own[at]!) : sum), 0),
      );
    },
  };
}

const starts = (ids: readonly number[], beginning: readonly number[]): boolean =>
  beginning.every((id, i) => ids[i] === id);

const unique = (paths: readonly (readonly number[])[]): (readonly number[])[] => [
  ...new Map(paths.map((path) => [path.join(), path])).values(),
];

function spellingsOf(
  tokenizer: Tokenizer,
  answers: readonly string[],
  unspelled: (answer: string) => Error,
): Spelling[] {
  const spellings = new Map<string, Spelling>();
  for (const answer of answers)
    for (const text of [answer, ` ${answer}`]) {
      const ids = afterGenerationPrompt(tokenizer, text);
      const known = spellings.get(ids.join());
      if (tokenizer.decode(ids).trim() !== answer || (known !== undefined && known.answer !== answer))
        throw unspelled(answer);
      spellings.set(ids.join(), { answer, ids });
    }
  return [...spellings.values()];
}

/** The ids of a text in its place behind the generation prompt; on its own where the tokenizer would melt the border. */
function afterGenerationPrompt(tokenizer: Tokenizer, text: string): number[] {
  const opening = tokenizer.renderChat([{ role: "user", content: "?" }], { addGenerationPrompt: true });
  const before = tokenizer.encode(opening, { special: true });
  const whole = tokenizer.encode(opening + text, { special: true });
  return starts(whole, before) ? whole.slice(before.length) : tokenizer.encode(text);
}

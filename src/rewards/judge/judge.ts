import { contentKey, type Message } from "../../schema/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { expectedRating } from "./expected-rating.ts";
import { checkReference, type ReferenceRecipe, referenceOf, withoutReference } from "./reference.ts";
import { compileRubric, defaultRubric } from "./rubric.ts";
import { checkScale, type Scale } from "./scale.ts";
import type { JudgeAnswer } from "./written-form.ts";

/** What a judge is asked about one response. Questions of one group are about the same request. */
export interface Question {
  readonly messages: readonly Message[];
  readonly group: string;
}

/** For one question the probabilities of the ratings, from the lowest on, or the rating that was written; or why there is neither. */
export type Said =
  | { readonly probabilities: readonly number[] }
  | { readonly rating: number }
  | { readonly failure: string };

/** What was said to the question of this number. */
export type ReadOutcome = { readonly index: number } & Said;

/** Asks a judge. */
export interface JudgeReader {
  /** Content key of the judge: its model and what decides its answers. */
  readonly identity: string;
  read(questions: readonly Question[], signal: AbortSignal): AsyncIterable<ReadOutcome>;
  close(): Promise<void>;
}

/** Rises with every change of how questions are put or answers read. */
const judgeVersion = 1;

export interface JudgeSettings {
  readonly name: string;
  readonly rubric?: string | undefined;
  readonly scale: Scale;
  readonly answer: JudgeAnswer;
  /** Whence the reference answer is that the rubric shows, if it shows one. */
  readonly reference?: ReferenceRecipe | undefined;
}

/**
 * A judge as a reward: the rating that it writes in 0..1; or the expected rating over the scale, and beside it with weight 0 the
 * probability that was on the ratings at all (`<name>:rating_mass`). With a reference, a prompt without one is a failure, or where it is
 * optional nothing is said of its responses. `open` makes the reader once rubric and scale are known to be sound.
 * Throws RecipeError below `field` where they are not.
 */
export async function judgeComponent(
  { name, rubric: given, scale, answer, reference }: JudgeSettings,
  field: string,
  open: () => Promise<JudgeReader>,
): Promise<RewardComponent> {
  checkScale(scale, `${field}.scale`);
  const rubric = given ?? defaultRubric(scale, answer, reference !== undefined);
  checkReference(rubric, reference, field);
  const question = compileRubric(rubric, `${field}.rubric`);
  const reader = await open();
  const written = answer === "probabilities" ? {} : { answer };
  const from = reference === undefined ? {} : { reference: reference.column };
  return {
    name: `judge ${name}`,
    identity: contentKey({
      kind: "judge",
      version: judgeVersion,
      rubric,
      scale,
      ...written,
      ...from,
      reader: reader.identity,
    }),
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      const questions: Question[] = [];
      const asked: number[] = [];
      for (const [index, request] of requests.entries()) {
        const shown = reference && referenceOf(request.prompt, reference.column);
        if (reference !== undefined && shown === undefined) {
          yield { index, ...withoutReference(reference) };
          continue;
        }
        asked.push(index);
        questions.push({ messages: question(request, shown), group: JSON.stringify(request.prompt.messages) });
      }
      for await (const outcome of reader.read(questions, signal)) {
        const index = asked[outcome.index]!;
        if ("rating" in outcome) {
          yield { index, parts: [{ name, value: (outcome.rating - scale[0]) / (scale[1] - scale[0]), weight: 1 }] };
          continue;
        }
        const read = "failure" in outcome ? outcome : expectedRating(outcome.probabilities, scale);
        if ("failure" in read) yield { index, failure: read.failure };
        else
          yield {
            index,
            parts: [
              { name, value: read.value, weight: 1 },
              { name: `${name}:rating_mass`, value: read.mass, weight: 0 },
            ],
          };
      }
    },
    close: () => reader.close(),
  };
}

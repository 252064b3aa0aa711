import { contentKey, type Message } from "../../schema/index.ts";
import type { ComponentOutcome, RewardComponent } from "../component.ts";
import { expectedRating } from "./expected-rating.ts";
import { compileRubric, defaultRubric } from "./rubric.ts";
import { checkScale, type Scale } from "./scale.ts";

/** What a judge is asked about one response. Questions of one group are about the same request. */
export interface Question {
  readonly messages: readonly Message[];
  readonly group: string;
}

/** Reads how probable a judge finds each rating. */
export interface JudgeReader {
  /** Content key of the judge: its model and what decides its probabilities. */
  readonly identity: string;
  /** For each question the probabilities of the ratings, from the lowest on, or why there are none. */
  read(
    questions: readonly Question[],
    signal: AbortSignal,
  ): AsyncIterable<
    | { readonly index: number; readonly probabilities: readonly number[] }
    | { readonly index: number; readonly failure: string }
  >;
  close(): Promise<void>;
}

/** Rises with every change of how questions are put or answers read. */
const judgeVersion = 1;

export interface JudgeSettings {
  readonly name: string;
  readonly rubric?: string | undefined;
  readonly scale: Scale;
}

/**
 * A judge as a reward: the expected rating over the scale in 0..1, and beside it with weight 0 the probability that was
 * on the ratings at all (`<name>:rating_mass`). `open` makes the reader once rubric and scale are known to be sound.
 * Throws RecipeError below `field` where they are not.
 */
export async function judgeComponent(
  { name, rubric: given, scale }: JudgeSettings,
  field: string,
  open: () => Promise<JudgeReader>,
): Promise<RewardComponent> {
  checkScale(scale, `${field}.scale`);
  const rubric = given ?? defaultRubric(scale);
  const question = compileRubric(rubric, `${field}.rubric`);
  const reader = await open();
  return {
    name: `judge ${name}`,
    identity: contentKey({ kind: "judge", version: judgeVersion, rubric, scale, reader: reader.identity }),
    async *rate(requests, signal): AsyncGenerator<ComponentOutcome> {
      const questions = requests.map((request) => ({
        messages: question(request),
        group: JSON.stringify(request.prompt.messages),
      }));
      for await (const outcome of reader.read(questions, signal)) {
        const { index } = outcome;
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
